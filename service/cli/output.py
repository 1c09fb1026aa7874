"""Prints lines, tables and warnings."""

import os
import sys
from collections.abc import Sequence

import typer

from observability.escaping import printable
from service.app.process_setup import STDERR, STDOUT
from service.app.unknown_settings import misspelt

_PIPE_WIDTH = 1_000


def say(text: str, *, err: bool = False) -> None:
    """Print a line. A command goes on, with the same exit code, if the reader has gone."""
    try:
        typer.echo(text, err=err)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, STDERR if err else STDOUT)  # otherwise Python writes it again at exit
        os.close(null)


def warn_of_misspelt() -> None:
    """Print a line for each variable that looks like a setting and is none."""
    for variable, nearest in misspelt(os.environ).items():
        hint = f"; the nearest is {nearest}" if nearest else ""
        say(f"{printable(variable)} is no setting{hint}", err=True)


def show(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table. In a pipe, no cell is cut off to fit a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))  # neither markup nor escapes
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    with console.capture() as shown:
        console.print(table)
    say(shown.get().rstrip("\n"))
