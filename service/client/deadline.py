"""How long a command waits for a supervisor: five seconds, including its own start and end."""

import time

_LONGEST, _SHORTEST = 3.0, 1.0
_ALL = 4.3  # the end of the program takes the rest

_began: float | None = None


def begin() -> None:
    """Note that the program starts. On a busy machine, its imports may take seconds."""
    global _began  # noqa: PLW0603 - a program starts once
    _began = time.monotonic()


def left() -> float:
    """How long an answer may take from now on (seconds)."""
    gone = time.monotonic() - _began if _began else 0.0
    return max(_SHORTEST, min(_LONGEST, _ALL - gone))
