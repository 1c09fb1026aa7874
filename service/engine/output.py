"""The output of workloads, and what they use, as an engine reports it."""

from typing import NamedTuple

UNREADABLE_LOG = "its log driver does not give it back"
"""Why an output cannot be read. That is no failure of the engine."""


class Printed(NamedTuple):
    """A line that a workload has printed, without its end. It may hold secrets.

    `at` is when, in nanoseconds since the epoch. With `ends` false it is a part of a long line, and
    the next one of the same stream goes on with it.
    """

    stream: str  # `stdout` or `stderr`
    text: str
    at: int
    ends: bool = True


class Usage(NamedTuple):
    """What a live workload uses, and has used since its start."""

    at: float  # when that was measured, by the engine's clock (seconds)
    cpu: float  # seconds of processors' time
    memory: int  # bytes, without what the kernel would give back at once
    memory_limit: int = 0  # 0 if it has none
    processes: int = 0
