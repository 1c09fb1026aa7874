"""The command line: its options, and the commands of the other modules."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]

from service import __version__
from service.app.process_setup import set_up_process
from service.cli import catalog
from service.cli.check import check
from service.cli.client import with_options
from service.cli.completion import completion
from service.cli.cordon import cordon, uncordon
from service.cli.describe import describe
from service.cli.doctor import doctor
from service.cli.health import health
from service.cli.history import history
from service.cli.jobs import jobs
from service.cli.kill import kill
from service.cli.kill_all import kill_all
from service.cli.launch import launch
from service.cli.logs import logs
from service.cli.output import say
from service.cli.remove_legacy import remove_legacy
from service.cli.serve import serve
from service.cli.token import token
from service.cli.top import top
from service.cli.trace import trace
from service.client.errors import CommandError, usage
from service.errors import EngineError, StartError

_COMPLETES = "_AREA_SUPERVISOR_COMPLETE"  # set by the script of `completion`

app = typer.Typer(
    help="Launches the jobs of Area as Docker containers when the backend asks for it over gRPC.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_LOOK, _STEER, _RUN = "Look at jobs", "Steer", "Run a supervisor"
for _panel, _commands in {
    _LOOK: (jobs, describe, logs, history, top, trace),
    _STEER: (launch, kill, kill_all, cordon, uncordon),
    _RUN: (serve, health, check, doctor, token, remove_legacy, completion),
}.items():
    for _command in _commands:
        app.command(_command.__name__.replace("_", "-"), rich_help_panel=_panel)(_command)
_WITHOUT_A_CONNECTION = {
    "catalog",
    *(each.name for each in app.registered_commands if each.rich_help_panel == _RUN),
}
app.add_typer(catalog.commands, name="catalog", rich_help_panel=_RUN)


def main() -> None:
    """Run a command; report an error in the environment in one line."""
    set_up_process()
    if _COMPLETES in os.environ:
        completion_init()
    try:
        app()
    except CommandError as error:
        say(f"area-supervisor: {error}", err=True)
        sys.exit(error.exit_code)
    except (StartError, EngineError) as error:
        sys.exit(f"area-supervisor: {error}")


def _options(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    **connection: Any,  # which the commands look up
) -> None:
    if version:
        say(f"area-supervisor {__version__}")
        raise typer.Exit
    if any(connection.values()) and ctx.invoked_subcommand in _WITHOUT_A_CONNECTION:
        raise usage(
            f"{ctx.invoked_subcommand}: calls no supervisor; allowed are its own options only"
        )


_options.__signature__ = with_options(_options)  # type: ignore[attr-defined]
app.callback(invoke_without_command=True)(_options)
