"""Inspections that have failed, and are repeated until they succeed or the job is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from service.errors import EngineError, EngineRefused, EngineTimeout
from service.jobs.model import Job
from service.state.registry import Registry
from service.support.retry import Backoff
from service.support.tasks import Background

_PAUSES = Backoff(1.0, 30.0)
# An engine may give no answer about some workloads. Each call about one of them occupies a thread
# until it times out, so only a few of these calls are made at once (`BULK_THREADS`).
_AT_ONCE = 4


class Reinspections:
    """Inspects again, at growing intervals, the workloads for which that has failed.

    `inspect` gets the launch id and raises the `EngineError`s. `forget` gets it in the end,
    whatever has become of the job.
    """

    def __init__(
        self,
        registry: Registry,
        background: Background,
        inspect: Callable[[str], Awaitable[None]],
        forget: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._background = background
        self._inspect = inspect
        self._forget = forget
        self._launch_ids: set[str] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def __contains__(self, launch_id: str) -> bool:
        """Whether a job's workload is to be inspected again."""
        return launch_id in self._launch_ids

    def schedule(self, launch_id: str, error: EngineError) -> None:
        """Inspect again later, after this failure; nothing if that is scheduled already."""
        if launch_id not in self._launch_ids:
            self._launch_ids.add(launch_id)
            self._background.spawn(self._repeat(launch_id, error), f"reap {launch_id}")

    async def _repeat(self, launch_id: str, error: EngineError) -> None:
        pauses = iter(_PAUSES)
        try:
            while not await self._registry.wait_within(launch_id, _never, next(pauses)):
                try:
                    async with self._turn_after(error):
                        await self._inspect(launch_id)
                except (EngineRefused, EngineTimeout) as again:
                    error = again
                else:
                    return
        finally:
            self._launch_ids.discard(launch_id)
            self._forget(launch_id)

    def _turn_after(self, error: EngineError) -> AbstractAsyncContextManager[None]:
        """Only after a timeout does an inspection need a turn: others are answered soon."""
        return self._turns if isinstance(error, EngineTimeout) else nullcontext()


def _never(_: Job) -> bool:
    return False
