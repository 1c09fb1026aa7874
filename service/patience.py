"""Trying again while the Engine is away for a moment."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from service.errors import EngineUnavailable
from service.readiness import GAP_PATIENCE

T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the Engine is there, for at most `GAP_PATIENCE` seconds after it first was not.

    The call has to bear being made twice: an Engine that dies may have done what it was asked.
    """
    first_failure: list[float] = []

    def gave_up(state: RetryCallState) -> bool:
        assert state.outcome_timestamp is not None
        if not first_failure:
            first_failure.append(state.outcome_timestamp)
        return state.outcome_timestamp - first_failure[0] >= GAP_PATIENCE

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(EngineUnavailable),
        wait=wait_random_exponential(multiplier=0.05, max=0.5),
        stop=gave_up,
        reraise=True,
    )

    async def attempt() -> T:  # tenacity tells a coroutine function by its definition
        return await call()

    return await retrying(attempt)
