"""Trying again while the Engine is away for a moment, or falters. The only retry there is."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from service.errors import EngineError, EngineFaltered, EngineUnavailable

T = TypeVar("T")

# How long a request waits for an Engine that has just gone away (seconds). The backend takes any
# error for fatal, so a short gap is bridged.
GAP_PATIENCE = 5.0
# An Engine that fails at something this often will fail at it for good.
_FALTERS = 4


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


class _Patience:
    """When to give up: an Engine that is away has seconds, one that falters a few tries."""

    def __init__(self, away: Callable[[], float]) -> None:
        self._away = away
        self._away_since: float | None = None
        self._faltered = 0

    def ends(self, error: EngineError) -> bool:
        """Whether this failure is one too many."""
        if isinstance(error, EngineFaltered):
            self._faltered += 1
            return self._faltered >= _FALTERS
        now = time.monotonic()
        self._away_since = self._away_since or now
        return now - self._away_since >= self._away()


async def patiently(
    call: Callable[[], Awaitable[T]], *, away: Callable[[], float] = lambda: GAP_PATIENCE
) -> T:
    """Call until the Engine does it; give up `away` seconds after it first was away.

    The call has to bear being made again: an Engine that dies or fails may have done what it was
    asked. What it refuses for a good reason it is not asked again. A call that makes its own tries
    (`Remover`) raises no `EngineFaltered` in the end: the tries would multiply.

    Not tenacity's, whose bookkeeping each launch would pay for (docs/benchmarks.md).
    """
    patience, pauses = _Patience(away), iter(_BETWEEN_CALLS)
    while True:
        try:
            return await call()
        except (EngineUnavailable, EngineFaltered) as error:
            if patience.ends(error):
                raise
        await asyncio.sleep(random.uniform(0, next(pauses)))  # noqa: S311 - no secret hangs on it
