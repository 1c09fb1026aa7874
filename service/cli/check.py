"""`area-supervisor check`: checks the settings, and the files that they name."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from observability.escaping import printable
from service.cli.output import say, show, warn_of_misspelt

if TYPE_CHECKING:
    from service.settings import Settings


def check(
    *,
    with_settings: Annotated[
        bool,
        typer.Option(
            "--settings", help="Show each setting first: its value, and where that comes from."
        ),
    ] = False,
) -> None:
    """Check settings, TLS, catalogue and access, and start nothing; exit 1 with what is wrong."""
    settings = _read(shows=with_settings)
    warn_of_misspelt()
    from service.access.reading import patterns_without_a_job, read_clients
    from service.app.engines import ENGINES, adapted
    from service.app.tls_ports import grpc_files, http_files
    from service.jobs.catalog_file import PACKAGED, load_catalog

    for files in (grpc_files(settings), http_files(settings)):
        if files:
            files.read()
    jobs = load_catalog(settings.job_catalog)
    ENGINES[settings.supervisor_engine].check(adapted(settings), jobs)
    say(f"{printable(str(settings.job_catalog or PACKAGED))}: {len(jobs)} jobs")
    clients, file = read_clients(settings), printable(str(settings.access_file))
    if settings.access_file:
        say(f"{file}: {len(clients.all)} clients")
    for client, pattern in patterns_without_a_job(clients, jobs):
        say(f"{file}: client {client}: no job of the catalogue matches {pattern}", err=True)


def _read(*, shows: bool) -> "Settings":
    """The settings, shown if somebody asks for it."""
    from service.app.environment import drop_service_links, read_settings

    drop_service_links()  # they count as not set
    given = dict(os.environ)
    settings, _ = read_settings()
    if shows:
        from service.cli.settings_table import COLUMNS, rows

        show(COLUMNS, list(rows(settings, given)))
    return settings
