"""Ends jobs that have run for as long as they may.

The time is that of the clock on the wall, from the start that the engine reports: it goes on while
a third party has paused the job, while the host sleeps, and while no supervisor runs.
"""

import asyncio
import time
from contextlib import suppress

from observability.logs import get_logger
from service.engine.base import Engine
from service.errors import EngineError, NoSuchWorkload
from service.jobs.model import Job, TimeLimitPassed
from service.lifecycle.exit_hints import Hint
from service.lifecycle.reaper import Reaper
from service.settings import Settings
from service.state.registry import Registry
from service.support.retry import Backoff, retry
from service.support.tasks import Background

log = get_logger(__name__)

# The longest wait without a look at the clock (seconds), which may have been set, and which the
# event loop's own does not follow while the host sleeps.
_LOOK = 30.0
# When a stop that has failed is tried again (seconds).
_RETRIES = Backoff(1.0, 10.0)


class TimeLimits:
    """Follows each job that has a time limit; one task for each."""

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        *,
        reaper: Reaper,
        background: Background,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._reaper = reaper
        self._background = background
        self._grace = settings.job_stop_grace_seconds
        registry.subscribe_to_starts(self._follow_if_limited)

    def _follow_if_limited(self, job: Job) -> None:
        if job.time_limit is not None:
            name = f"time limit {job.launch_id}"
            self._background.spawn_once(lambda: self._follow(job.launch_id), name)

    async def _follow(self, launch_id: str) -> None:
        """Until the job is gone."""
        while job := await self._registry.wait(launch_id, lambda job: job.runs):
            if (left := _left(job)) > 0:
                await self._ends_within(job, min(left, _LOOK))
            else:
                await self._end(job)

    async def _end(self, job: Job) -> None:
        """Stop a job, and have it closed. It is tried until the job does not run any more."""
        self._registry.observe(job.launch_id, TimeLimitPassed())
        log.warning(
            "job.time_limit_passed",
            job=job.name,
            identifier=job.identifier,
            container_id=job.workload_id,
            limit=job.time_limit,
        )
        for pause in _RETRIES:
            with suppress(EngineError):  # the engine's metrics have it, and it is tried again
                await self._stop(job)
            if await self._ends_within(job, pause):
                return

    async def _stop(self, job: Job) -> None:
        assert job.workload_id is not None
        workload_id, grace = job.workload_id, job.grace(self._grace)
        with suppress(NoSuchWorkload):
            await retry(lambda: self._engine.stop(workload_id, grace=grace))
        await self._reaper.reap(job.launch_id, Hint(witnessed=True), workload_id=workload_id)

    async def _ends_within(self, job: Job, seconds: float) -> bool:
        """Wait until a run of a job has ended, at most so long; whether it has."""
        try:
            async with asyncio.timeout(seconds):
                await self._registry.wait(job.launch_id, lambda now: not _is_same_run(job, now))
        except TimeoutError:
            return False
        return True


def _left(job: Job) -> float:
    """How long a job may still run (seconds)."""
    assert job.time_limit is not None
    assert job.started_at is not None
    return job.started_at + job.time_limit - time.time()


def _is_same_run(job: Job, now: Job) -> bool:
    """Whether a job still runs as it did, and was not started again."""
    return now.runs and (now.workload_id, now.started_at) == (job.workload_id, job.started_at)
