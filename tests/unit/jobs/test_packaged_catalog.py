"""The catalogue of Area, which the package contains."""

import csv
from pathlib import Path

from service.engine.workload_spec import Confinement, Limits
from service.jobs.catalog_file import load_catalog
from service.jobs.catalog_keys import Entry


def expected_jobs() -> dict[str, tuple[str, str | None, str | None, bool]]:
    with (Path(__file__).parent / "area_jobs.csv").open(newline="") as table:
        return {
            row["name"]: (
                row["kind"],
                row["image"] or None,
                row["first_argument"] or None,
                row["ends"] == "true",
            )
            for row in csv.DictReader(table)
        }


def test_the_packaged_catalogue_has_the_68_jobs_of_area_and_no_other() -> None:
    catalog = load_catalog()
    actual = {}
    for name in catalog:
        job = catalog.get(name)
        assert job is not None
        actual[name] = (job.kind.value, job.image, job.first_argument, job.ends)
    assert 68 == len(actual) == len(catalog)
    assert expected_jobs() == actual


def test_the_packaged_catalogue_limits_nothing() -> None:
    catalog = load_catalog()
    assert {Limits()} == {job.limits for name in catalog if (job := catalog.get(name))}


def test_the_packaged_catalogue_says_nothing_else_of_a_job() -> None:
    for job in load_catalog().values():
        said = {key: getattr(job, key) for key in ("kind", "image", "first_argument", "ends")}
        assert Entry.model_validate(said | {"cap_drop": ["ALL"]}).model_dump() == job.model_dump()


def test_no_job_of_the_packaged_catalogue_has_a_capability() -> None:
    assert {Confinement(cap_drop=("ALL",))} == {job.confinement for job in load_catalog().values()}


def test_the_images_of_the_packaged_catalogue_are_those_of_the_workers() -> None:
    services = (
        "airtable discord github gitlab google linear linkedin microsoft miro riot"
        " seconds-interval slack todoist twitter"
    )
    assert {f"supervisor-{service}" for service in services.split()} == load_catalog().images
