"""Trying again while the Engine is away for a moment, or falters."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.errors import EngineError, EngineFaltered, EngineUnavailable
from service.readiness import GAP_PATIENCE

T = TypeVar("T")

# An Engine that fails at something this often will fail at it for good.
_FALTERS = 4
# Between two tries, at random up to here: at first, and in the end (seconds).
_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


class _Patience:
    """When to give up: an Engine that is away has seconds, one that falters a few tries."""

    def __init__(self) -> None:
        self._away_since: float | None = None
        self._faltered = 0

    def ends_with(self, error: EngineError) -> bool:
        """Whether this failure is one too many."""
        if isinstance(error, EngineFaltered):
            self._faltered += 1
            return self._faltered >= _FALTERS
        now = time.monotonic()
        self._away_since = self._away_since or now
        return now - self._away_since >= GAP_PATIENCE


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the Engine does it; give up `GAP_PATIENCE` seconds after it first was away.

    The call has to bear being made again: an Engine that dies or fails may have done what it was
    asked. What it refuses for a good reason it is not asked again.
    """
    # Not tenacity's loop, which costs more than a span where nothing fails.
    patience, longest = _Patience(), _PAUSE
    while True:
        try:
            return await call()
        except (EngineUnavailable, EngineFaltered) as error:
            if patience.ends_with(error):
                raise
        await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - no secret hangs on it
        longest = min(2 * longest, _LONGEST_PAUSE)
