"""The command line."""

import gc
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from observability.corrections import Correction
from observability.otel_env import settle_variables
from observability.printable import printable
from service import __version__
from service.app.environment import drop_service_links, load_env_file, load_settings
from service.app.process_setup import (
    STDERR,
    STDOUT,
    never_block_on,
    outlive_the_terminal,
    set_up_process,
)
from service.app.unknown_settings import misspelt
from service.errors import EngineError, StartError
from service.settings import Settings
from service.support.process_limits import HEALTH_THREADS, require_threads

_WIDE = 1_000

app = typer.Typer(
    help="Launches the jobs of Area as Docker containers when the backend asks for it over gRPC.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run a command; what is wrong with the environment is told in one line."""
    set_up_process()
    try:
        app()
    except (StartError, EngineError) as error:
        sys.exit(f"area-supervisor: {error}")


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        _say(f"area-supervisor {__version__}")
        raise typer.Exit


@app.command()
def serve() -> None:
    """Serve the backend until SIGTERM. The settings come from the environment and from .env."""
    outlive_the_terminal()
    settings, corrections = _settings()
    gc.disable()  # until the start is over: what it makes stays, and looking at it takes time
    from service.app.process import serve as run

    run(settings, corrections, misspelt(os.environ))


@app.command()
def health(
    service: Annotated[
        str,
        typer.Option(help='What to ask for: liveness, "" or the service\'s name for readiness.'),
    ] = "liveness",
) -> None:
    """Ask the supervisor on this host for its health; exit 0 if it is SERVING, else 1."""
    settings, _ = _settings()
    from service.api.health_client import check_health

    require_threads(HEALTH_THREADS)
    never_block_on(STDOUT)
    host = str(settings.bind_address or "127.0.0.1")
    well, status = check_health(host, settings.grpc_server_port, service)
    _say(status)
    raise typer.Exit(0 if well else 1)


@app.command()
def check() -> None:
    """Check the settings and the catalogue, and start nothing; exit 1 with what is wrong."""
    settings, _ = _settings()
    _warn_of_misspelt()
    from service.jobs.catalog import PACKAGED, load_catalog

    jobs = len(load_catalog(settings.job_catalog))
    _say(f"{printable(str(settings.job_catalog or PACKAGED))}: {jobs} jobs")


@app.command("remove-legacy")
def remove_legacy(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them.")] = False,
) -> None:
    """Remove the Go supervisor's containers: without our labels, of the catalogue's images."""
    settings, _ = _settings()
    _warn_of_misspelt()
    from service.app.engines import open_legacy_containers
    from service.jobs.catalog import load_catalog
    from service.jobs.workload import INSTANCE_LABEL

    legacy = open_legacy_containers()
    found = legacy.find(load_catalog(settings.job_catalog).images, INSTANCE_LABEL)
    _show(["container", "image", "status"], [(c.name, c.image, c.status) for c in found])
    if dry_run:
        _say(f"{len(found)} would be removed")
        return
    left = 0
    for container in found:
        try:
            legacy.remove(container, settings.job_stop_grace_seconds)
            _say(f"removed {container.name}")
        except EngineError as error:
            left += 1
            _say(f"left {container.name}: {error}", err=True)
    _say(f"{len(found) - left} removed, {left} left")
    raise typer.Exit(1 if left else 0)


def _warn_of_misspelt() -> None:
    for variable, nearest in misspelt(os.environ).items():
        meant = f"; the nearest is {nearest}" if nearest else ""
        _say(f"{printable(variable)} is no setting{meant}", err=True)


def _say(text: str, *, err: bool = False) -> None:
    """What a command does, and its exit code, do not depend on who reads what it prints."""
    try:
        typer.echo(text, err=err)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STDERR if err else STDOUT)  # or the end would try to write it once more
        os.close(nowhere)


def _settings() -> tuple[Settings, list[Correction]]:
    """And what of the environment was not taken as it was given."""
    links = drop_service_links()
    load_env_file()
    settings = load_settings()
    # Before OpenTelemetry is imported, which reads its variables then.
    return settings, [*links, *settle_variables()]


def _show(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))  # neither markup nor commands
    # Whoever reads it through a pipe wants whole names, not those that fit into 80 columns.
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    with console.capture() as shown:
        console.print(table)
    _say(shown.get().rstrip("\n"))
