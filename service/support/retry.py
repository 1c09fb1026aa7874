"""Retries of calls to the engine while it is away for a moment, or fails."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from service.errors import EngineError, EngineFailed, EngineUnavailable

T = TypeVar("T")

# How long a request waits for an engine that has just gone away (seconds). The backend takes any
# error for fatal, so a short gap is bridged.
GAP_SECONDS = 5.0
# An engine that fails so many times in a row will go on failing.
_MOST_FAILURES = 4


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between tries (seconds): each is twice as long as the one before it."""

    first: float
    longest: float

    def __iter__(self) -> Iterator[float]:
        pause = self.first
        while True:
            yield pause
            pause = min(2 * pause, self.longest)


_BETWEEN_CALLS = Backoff(0.05, 0.5)


class _Limits:
    """When to give up: after some seconds without an engine, or after a few failures."""

    def __init__(self, away_limit: Callable[[], float]) -> None:
        self._away_limit = away_limit
        self._away_since: float | None = None
        self._failures = 0

    def exceeded_by(self, error: EngineError) -> bool:
        """Count a failure; whether it is one too many."""
        if isinstance(error, EngineFailed):
            self._failures += 1
            return self._failures >= _MOST_FAILURES
        now = time.monotonic()
        self._away_since = self._away_since or now
        return now - self._away_since >= self._away_limit()


async def retry(
    call: Callable[[], Awaitable[T]], *, away_limit: Callable[[], float] = lambda: GAP_SECONDS
) -> T:
    """Make a call again while it raises `EngineUnavailable` or `EngineFailed`.

    Raises the last error once the engine has been away for `away_limit` seconds, or has failed
    four times. The call has to be idempotent: an engine that dies or fails may have carried it
    out. A call that retries by itself (`Remover`) raises no `EngineFailed` in the end, so that
    the tries do not multiply.

    Not tenacity, whose bookkeeping costs CPU time in each launch (docs/benchmarks.md).
    """
    limits, pauses = _Limits(away_limit), iter(_BETWEEN_CALLS)
    while True:
        try:
            return await call()
        except (EngineUnavailable, EngineFailed) as error:
            if limits.exceeded_by(error):
                raise
        await asyncio.sleep(random.uniform(0, next(pauses)))  # noqa: S311 - jitter, no secret
