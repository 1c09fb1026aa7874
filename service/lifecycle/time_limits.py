"""Ends jobs that have run for as long as they may.

The time is that of the clock on the wall, from the start that the engine reports: it goes on while
a third party has paused the job, while the host sleeps, and while no supervisor runs.
"""

import time

from observability.logs import get_logger
from service.jobs.model import Job
from service.jobs.observations import EndBegun
from service.lifecycle.run_ends import RunEnds
from service.state.registry import Registry
from service.support.tasks import Background

log = get_logger(__name__)

# The longest wait without a look at the clock (seconds), which may have been set, and which the
# event loop's own does not follow while the host sleeps.
_LOOK = 30.0


class TimeLimits:
    """Follows each job that has a time limit; one task for each."""

    def __init__(self, registry: Registry, *, runs: RunEnds, background: Background) -> None:
        self._registry = registry
        self._runs = runs
        self._background = background
        registry.subscribe_to_starts(self._follow_if_limited)

    def _follow_if_limited(self, job: Job) -> None:
        if job.time_limit is not None:
            name = f"time limit {job.launch_id}"
            self._background.spawn_once(lambda: self._follow(job.launch_id), name)

    async def _follow(self, launch_id: str) -> None:
        """Until the job is gone."""
        while job := await self._registry.wait(launch_id, lambda job: job.runs):
            if (left := _left(job)) > 0:
                await self._runs.ends_within(job, min(left, _LOOK))
            else:
                await self._end(job)

    async def _end(self, job: Job) -> None:
        self._registry.observe(job.launch_id, EndBegun("time_limit"))
        log.warning(
            "job.time_limit_passed",
            job=job.name,
            identifier=job.identifier,
            container_id=job.workload_id,
            limit=job.time_limit,
        )
        await self._runs.end(job)


def _left(job: Job) -> float:
    """How long a job may still run (seconds)."""
    assert job.time_limit is not None
    assert job.started_at is not None
    return job.started_at + job.time_limit - time.time()
