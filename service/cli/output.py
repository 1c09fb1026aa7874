"""Prints lines, tables and warnings."""

import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Sequence

import typer

from observability.escaping import printable
from service.app.process_setup import STDERR, STDOUT

_PIPE_WIDTH = 1_000


def say(text: str, *, err: bool = False) -> None:
    """Print a line. A command goes on, with the same exit code, if the reader has gone."""
    try:
        typer.echo(text, err=err)
    except OSError:
        drop_output(STDERR if err else STDOUT)


def emit(text: str, *, nl: bool = True) -> None:
    """Print a part of the output. Raises `BrokenPipeError` if its reader has gone."""
    sys.stdout.write(f"{text}\n" if nl else text)


def confirmed(question: str) -> bool:
    """Ask a person. No answer is a no."""
    sys.stderr.write(f"{question} [y/N]: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def flush() -> None:
    """Write all output now, while errors can still be reported."""
    sys.stdout.flush()


def drop_output(number: int = STDOUT) -> None:
    """Discard further output: otherwise Python tries to write it again at its exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)


def end_with_reader() -> None:
    """Raise `BrokenPipeError` in the main thread once nobody reads, also while nothing is written.

    Otherwise `jobs -w | head -1` would wait for one more change.
    """
    kind = os.fstat(STDOUT).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        return
    signal.signal(signal.SIGPIPE, _raise_broken_pipe)
    threading.Thread(target=_signal_the_end_of_the_reader, daemon=True).start()


def _raise_broken_pipe(_number: int, _frame: object) -> None:
    raise BrokenPipeError


def _signal_the_end_of_the_reader() -> None:
    poll = select.poll()
    poll.register(STDOUT, 0)  # poll reports errors in any case
    poll.poll()
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGPIPE)


def notify(text: str) -> None:
    """Print a message for a person on standard error, apart from the output."""
    say(f"area-supervisor: {text}", err=True)


def warn_of_misspelt() -> None:
    """Print a line for each variable that looks like a setting and is none."""
    from service.app.unknown_settings import misspelt

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
