"""Inspections that have failed, and are made again until they succeed or the job is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from service.errors import EngineError, EngineRefused, EngineTimeout
from service.state.registry import Registry
from service.support.retry import Backoff
from service.support.tasks import Background

_PAUSES = Backoff(1.0, 30.0)
# An Engine may give no answer about some containers, and each of those takes up a thread until the
# call is out of time. This many of them are looked at again at once: others need threads, too
# (`BULK_THREADS`).
_AT_ONCE = 4


class LaterLooks:
    """Looks again at jobs that the Engine made trouble about, at growing intervals.

    `look` is given the launch id and raises the `EngineError`s. `forget` is called with it in the
    end, whatever has become of the job.
    """

    def __init__(
        self,
        registry: Registry,
        background: Background,
        look: Callable[[str], Awaitable[None]],
        forget: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._background = background
        self._look = look
        self._forget = forget
        self._launches: set[str] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def __contains__(self, launch_id: str) -> bool:
        """Whether a job is to be looked at again."""
        return launch_id in self._launches

    def begin(self, launch_id: str, error: EngineError) -> None:
        """Look again later, after this failure; once at a time, however many ask for it."""
        if launch_id not in self._launches:
            self._launches.add(launch_id)
            self._background.spawn(self._look_again(launch_id, error), f"reap {launch_id}")

    async def _look_again(self, launch_id: str, error: EngineError) -> None:
        """Only what the Engine was too slow about takes a turn: the rest is soon done."""
        pauses = iter(_PAUSES)
        try:
            while not await self._is_gone_within(launch_id, next(pauses)):
                try:
                    async with self._turn_after(error):
                        await self._look(launch_id)
                except (EngineRefused, EngineTimeout) as again:
                    error = again
                else:
                    return
        finally:
            self._launches.discard(launch_id)
            self._forget(launch_id)

    async def _is_gone_within(self, launch_id: str, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._registry.wait(launch_id, lambda _: False)
        except TimeoutError:
            return False
        return True

    def _turn_after(self, error: EngineError) -> AbstractAsyncContextManager[None]:
        return self._turns if isinstance(error, EngineTimeout) else nullcontext()
