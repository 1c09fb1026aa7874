"""A new setting, catalogue key, RPC or limit has its place in several files.

What cannot be generated is compared here. Each message names the file that lacks the entry.
"""

import csv
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import docker
import pytest

from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceServicer
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverServicer
from service.api.jobs_service import JobsService
from service.api.observer_service import ObserverService
from service.engine.docker.containers import container_options
from service.engine.workload_spec import Confinement, Limits, Surroundings, WorkloadSpec
from service.jobs.arguments import arguments_of
from service.jobs.catalog_file import PACKAGED, SCHEMA
from service.jobs.catalog_keys import Entry, Policy
from service.jobs.model import JobSpec, Kind
from service.jobs.workload import job_of

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


# Keys of the catalogue


@pytest.mark.parametrize("file", [PACKAGED, ROOT / "examples" / "catalog.toml"])
def test_a_catalogue_that_people_read_names_its_schema(file: Path) -> None:
    first, _, _ = file.read_text().partition("\n")
    directive, _, path = first.partition(" ")
    assert "#:schema" == directive
    assert SCHEMA.resolve() == (file.parent / path).resolve()


def _example(key: str) -> Any:
    extra = Entry.model_fields[key].json_schema_extra
    assert isinstance(extra, dict)
    return tomllib.loads(f"{key} = {extra['example']}")[key]


def _effect(**keys: Any) -> tuple[Any, ...]:
    """All that a job with these keys, beside a kind and an image, is launched as."""
    entry = Entry.model_validate({"kind": "reaction", "image": "x"} | keys)
    spec = JobSpec("name", "identifier")
    job = job_of(spec, entry, None)
    arguments = arguments_of(spec, entry, "callback")
    container = entry.limits, entry.confinement, entry.placement, entry.surroundings, entry.health
    own = entry.source, entry.network, entry.labels, entry.variables({"WEATHER_API_KEY": "x"})
    turn = entry.max_running, entry.when_full, entry.priority  # see service/state/rooms.py
    end = job.stop_grace, entry.stop_signal, entry.init, job.time_limit, job.restart
    ready = job.ready_within
    return job.kind, job.ends, ready, entry.image, arguments, container, own, turn, end


@pytest.mark.parametrize("key", Entry.model_fields)
def test_every_key_has_an_effect_on_a_launch(key: str) -> None:
    others: dict[str, Any] = {} if key == "kind" else {"kind": Kind.ACTION}
    others |= {"ready": "healthcheck"} if key == "ready_timeout" else {}
    others |= {"restart": {}} if key == "final_exit_codes" else {}
    same = _effect(**others) == _effect(**others | {key: _example(key)})
    assert not same, f"service/jobs/workload.py makes nothing of `{key}`, nor does Entry"


def _container(**more: Any) -> dict[str, Any]:
    client = docker.APIClient("unix:///nowhere", version="1.41")
    spec = WorkloadSpec(name="x", image="x", arguments=[], **more)
    config: dict[str, Any] = client.create_container_config(**container_options(client, spec))
    return config


@pytest.mark.parametrize("limit", [field.name for field in fields(Limits)])
def test_every_limit_is_a_key_is_told_to_the_engine_and_is_documented(limit: str) -> None:
    assert limit in Entry.model_fields, "Policy in service/jobs/catalog_keys.py"
    asked = Entry.model_validate({"kind": "action", limit: _example(limit)}).limits
    assert _container(limits=asked) != _container(), (
        "the options of a container in service/engine/docker/containers.py"
    )
    (row,) = re.findall(r"^\| (.*) \| the limits in the catalogue", _page("workers"), re.MULTILINE)
    assert f"`{limit}`" in row, "docs/workers.md"


@pytest.mark.parametrize("key", [field.name for field in fields(Confinement)])
def test_every_confinement_is_a_key_is_told_to_the_engine_and_is_documented(key: str) -> None:
    assert key in Policy.model_fields, "Policy in service/jobs/catalog_keys.py"
    asked = Entry.model_validate({"kind": "action", key: _example(key)}).confinement
    assert _container(confinement=asked) != _container(), "service/engine/docker/containers.py"
    assert f"`{key}`" in _page("workers"), "docs/workers.md"


@pytest.mark.parametrize("key", [field.name for field in fields(Surroundings)])
def test_every_surrounding_is_a_key_is_told_to_the_engine_and_is_documented(key: str) -> None:
    assert key in Policy.model_fields, "Policy in service/jobs/catalog_keys.py"
    asked = Entry.model_validate({"kind": "action", key: _example(key)}).surroundings
    assert _container(surroundings=asked) != _container(), "service/engine/docker/surroundings.py"
    assert f"`{key}`" in _page("workers"), "docs/workers.md"


def test_the_list_of_areas_jobs_has_a_column_for_each_key_that_they_use() -> None:
    tables = tomllib.loads(PACKAGED.read_text())
    used = {key for name in ("images", "jobs") for each in tables[name].values() for key in each}
    with (ROOT / "tests/unit/jobs/area_jobs.csv").open(newline="") as table:
        columns = set(csv.DictReader(table).fieldnames or ())
    assert used <= columns, "tests/unit/jobs/area_jobs.csv, which test_catalog.py compares"


# RPCs


_METHODS = [name for name in vars(AreaSupervisorServiceServicer) if not name.startswith("_")]


@pytest.mark.parametrize("method", _METHODS)
def test_every_method_of_the_contract_is_served(method: str) -> None:
    assert method in vars(JobsService), "a method of JobsService in service/api/jobs_service.py"


@pytest.mark.parametrize("method", [m for m in vars(JobObserverServicer) if not m.startswith("_")])
def test_every_method_of_the_observer_is_served(method: str) -> None:
    assert method in vars(ObserverService), "a method in service/api/observer_service.py"


@pytest.mark.parametrize("method", _METHODS)
def test_every_method_of_the_contract_is_documented(method: str) -> None:
    assert f"\n### {method}\n" in _page("api"), "the methods in docs/api.md"


def _page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


# The recipes


def test_the_files_that_contributing_names_are_there() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    tops = "service|observability|tests|docs|dashboards|proto|examples"
    named = re.findall(rf"`((?:{tops})/[\w./-]*)`", page)
    assert len(named) > 20
    assert [] == [path for path in named if not (ROOT / path).exists()], "CONTRIBUTING.md"
