"""An action: calls the backend every few seconds, until it is stopped."""

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from examples.worker import tracing
from examples.worker.arguments import BAD_ARGUMENTS, ArgumentError, required
from examples.worker.callbacks import Backend

_JOB = "timer-seconds-interval"
_LONGEST_SECONDS = 366 * 24 * 3600.0  # far below where `time.sleep` overflows


def run(backend: Backend, options: Mapping[str, str]) -> int:
    """Tick for ever. Return only if the arguments are wrong.

    It may run for weeks, and a trace of weeks is of no use. So each callback
    has a trace of its own, with a link to the launch.
    """
    try:
        seconds = seconds_of(options)
    except ArgumentError as error:
        with tracing.linked_to_launch(_JOB, backend.identifier):
            backend.on_error(error)
        return BAD_ARGUMENTS
    print(f"every {seconds:g} s for {backend.identifier}", flush=True)
    count = 0
    while True:
        time.sleep(seconds)
        count += 1
        _tick(backend, count)


def seconds_of(options: Mapping[str, str]) -> float:
    """Return the interval, which has to be above zero (seconds)."""
    text = required(options, "seconds")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise ArgumentError("--seconds: has to be a number above 0, and at most a year")
    return seconds


def _tick(backend: Backend, count: int) -> None:
    """Call the backend. If it is away, it misses this tick."""
    date = datetime.now(UTC).isoformat(timespec="milliseconds")
    with tracing.linked_to_launch(_JOB, backend.identifier):
        backend.on_action(_JOB, {"count": count, "date": date})
