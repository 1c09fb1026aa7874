"""Trying again while the Engine is away for a moment, or falters."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from service.errors import EngineFaltered, EngineUnavailable
from service.readiness import GAP_PATIENCE

T = TypeVar("T")

# An Engine that fails at something this often will fail at it for good.
_FALTERS = 4


class _Patience:
    """When to give up: an Engine that is away has seconds, one that falters a few tries."""

    def __init__(self) -> None:
        self._away_since: float | None = None
        self._faltered = 0

    def __call__(self, state: RetryCallState) -> bool:
        assert state.outcome is not None
        assert state.outcome_timestamp is not None
        if isinstance(state.outcome.exception(), EngineFaltered):
            self._faltered += 1
            return self._faltered >= _FALTERS
        self._away_since = self._away_since or state.outcome_timestamp
        return state.outcome_timestamp - self._away_since >= GAP_PATIENCE


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the Engine does it; give up `GAP_PATIENCE` seconds after it first was away.

    The call has to bear being made again: an Engine that dies or fails may have done what it was
    asked. What it refuses for a good reason it is not asked again.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception_type((EngineUnavailable, EngineFaltered)),
        wait=wait_random_exponential(multiplier=0.05, max=0.5),
        stop=_Patience(),
        reraise=True,
    )

    async def attempt() -> T:  # tenacity tells a coroutine function by its definition
        return await call()

    return await retrying(attempt)
