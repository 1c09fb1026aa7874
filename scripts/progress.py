"""Says what is going on, in lines that read as well in a CI log as on a terminal.

Standard library only: `scripts/bootstrap.py` uses it before there is a virtual environment.
"""

import contextlib
import time
from collections.abc import Iterator


class PrerequisiteError(Exception):
    """Something is missing that we cannot get ourselves; the message says what to do."""


def say(text: str) -> None:
    """Prints one line at once, so that a pause shows what it is spent on."""
    print(f"-- {text}", flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Says what begins, and how long it took when it has worked."""
    say(f"{text} ...")
    begun = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - begun:.1f} s")


def tail(text: str, lines: int = 15) -> str:
    """The last lines of some output, indented, for the end of an error message."""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-lines:])
