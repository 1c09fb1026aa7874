"""Ends jobs that are unhealthy, where `restart` says so: they are started again for that."""

from observability.logs import get_logger
from service.jobs.model import Job, State
from service.jobs.observations import EndBegun
from service.lifecycle.run_ends import RunEnds
from service.state.registry import Registry
from service.support.tasks import Background

log = get_logger(__name__)


class UnhealthyJobs:
    """Follows each job whose `restart` has `unhealthy`; one task for each.

    A job whose launch waits until it is healthy is left to that (`HealthWaits`), and one that a
    third party has paused runs no probes.
    """

    def __init__(self, registry: Registry, *, runs: RunEnds, background: Background) -> None:
        self._registry = registry
        self._runs = runs
        self._background = background
        registry.subscribe_to_starts(self._follow_if_asked)

    def _follow_if_asked(self, job: Job) -> None:
        if job.restart is not None and job.restart.unhealthy:
            name = f"unhealthy {job.launch_id}"
            self._background.spawn_once(lambda: self._follow(job.launch_id), name)

    async def _follow(self, launch_id: str) -> None:
        """Until the job is gone."""
        while job := await self._registry.wait(launch_id, _is_to_end):
            if not job.ended_for:
                self._begin(job)
            await self._runs.end(job)

    def _begin(self, job: Job) -> None:
        self._registry.observe(job.launch_id, EndBegun("unhealthy"))
        log.warning(
            "job.ended_as_unhealthy",
            job=job.name,
            identifier=job.identifier,
            container_id=job.workload_id,
        )


def _is_to_end(job: Job) -> bool:
    """Whether it is unhealthy, or was, and its end has begun."""
    begun = job.runs and job.ended_for == "unhealthy"
    return begun or (job.is_sick and job.state is State.RUNNING)
