"""`area-supervisor catalog`: shows a job, checks a catalogue, prints the schema for editors."""

from collections import Counter
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from observability.escaping import printable
from service.cli import output
from service.errors import EngineError, StartError

if TYPE_CHECKING:
    from service.jobs.catalog import Catalog

# Exit codes of `check`, beside 1 for a fault. 2 is that of a wrong command line.
_MISSING, _NO_ENGINE = 3, 4

commands = typer.Typer(no_args_is_help=True)


@commands.callback()
def _catalog() -> None:
    """Show, check and describe the catalogue of jobs."""


@commands.command()
def show(job: Annotated[str, typer.Argument(help="The name of the job.")]) -> None:
    """Show each key of a job, with the table of the catalogue that its value comes from."""
    from service.app.environment import read_settings

    settings, _ = read_settings()
    from service.jobs.catalog_file import check_tables, read_tables
    from service.jobs.catalog_origins import origins_of

    tables = read_tables(settings.job_catalog)
    file = check_tables(tables, settings.job_catalog)
    if job not in file.jobs:
        raise StartError(
            f"{printable(job)}: is not a job of the catalogue{_nearest(job, file.jobs)}"
        )
    rows = [
        (key, value, table or "built in") for key, value, table in origins_of(job, file, tables)
    ]
    output.show(["key", "value", "from"], rows)


@commands.command()
def schema() -> None:
    """Print the JSON schema of a catalogue's file, with which editors complete and check it."""
    from service.jobs.catalog_schema import schema_text

    output.say(schema_text().rstrip("\n"))


@commands.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="The catalogue. By default that of JOB_CATALOG.")
    ] = None,
    engine: Annotated[bool, typer.Option(help="Ask the Engine which of the images it has.")] = True,
) -> None:
    """Check a catalogue, and show which of its images the Engine has.

    Exit code 0: no fault, and no image is missing that no launch pulls. 1: the catalogue has a
    fault. 3: an image is missing. 4: the Engine cannot be asked.
    """
    from service.app.environment import read_settings

    settings, _ = read_settings()
    from service.app.engines import ENGINES, adapted
    from service.jobs.catalog_file import PACKAGED, check_tables, faults_of, read_tables

    path = file or settings.job_catalog
    shown = printable(str(path or PACKAGED))
    tables = read_tables(path, setting="" if file else "JOB_CATALOG=")
    if faults := faults_of(tables):
        for fault in faults:
            output.say(f"{shown}: {fault}", err=True)
        raise typer.Exit(1)
    catalog = check_tables(tables, path).catalog()
    ENGINES[settings.supervisor_engine].check(adapted(settings), catalog)
    output.say(f"{shown}: {len(catalog)} jobs, {len(catalog.images)} images")
    for job in catalog.without_room:
        output.say(
            f"{shown}: jobs.{job}.pids: is too few: the container's init uses it up", err=True
        )
    if engine and settings.supervisor_engine == "swarm":
        output.say("The nodes of a Swarm pull the images themselves: they are not checked.")
    elif engine and catalog.images:
        raise typer.Exit(_check_images(catalog))


def _check_images(catalog: "Catalog") -> int:
    """Show which images the Engine has; the exit code."""
    from service.app.engines import open_local_images

    try:
        there = open_local_images().find(catalog.images)
    except EngineError as error:
        output.say(f"The images are not checked: {error}", err=True)
        return _NO_ENGINE
    jobs = Counter(entry.image for entry in catalog.values())
    missing = catalog.images_to_be_there - there
    states = dict.fromkeys(catalog.images, "pulled by a launch")
    states |= dict.fromkeys(there, "there") | dict.fromkeys(missing, "missing")
    output.show(
        ["image", "jobs", "on the Engine"],
        [(image, str(jobs[image]), state) for image, state in sorted(states.items())],
    )
    return _MISSING if missing else 0


def _nearest(job: str, jobs: Collection[str]) -> str:
    near = get_close_matches(job, jobs, n=1)
    return f"; the nearest is {near[0]}" if near else ""
