"""Prints progress, in lines that suit both a CI log and a terminal.

Standard library only: `scripts/bootstrap.py` uses it before there is a virtual environment.
"""

import contextlib
import time
from collections.abc import Iterator


class PrerequisiteError(Exception):
    """A prerequisite is missing that cannot be installed. The message says what to do."""


def say(text: str) -> None:
    """Prints a line without buffering, so that it is visible during a pause."""
    print(f"-- {text}", flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Prints what begins, and how long it took if it succeeds."""
    say(f"{text} ...")
    begun = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - begun:.1f} s")


def tail(text: str, lines: int = 15) -> str:
    """The last lines of some output, indented, for the end of an error message."""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-lines:])
