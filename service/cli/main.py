"""The command line: its options, and the commands of the other modules."""

import sys
from typing import Annotated

import typer

from service import __version__
from service.app.process_setup import set_up_process
from service.cli import catalog
from service.cli.check import check
from service.cli.health import health
from service.cli.output import say
from service.cli.remove_legacy import remove_legacy
from service.cli.serve import serve
from service.cli.token import token
from service.errors import EngineError, StartError

app = typer.Typer(
    help="Launches the jobs of Area as Docker containers when the backend asks for it over gRPC.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(health)
app.command()(check)
app.command()(token)
app.command("remove-legacy")(remove_legacy)
app.add_typer(catalog.commands, name="catalog")


def main() -> None:
    """Run a command; report an error in the environment in one line."""
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
        say(f"area-supervisor {__version__}")
        raise typer.Exit
