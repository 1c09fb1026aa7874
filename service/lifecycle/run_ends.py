"""Ends the runs of jobs that a supervisor has a reason to end, without a kill."""

from contextlib import suppress
from functools import partial

from service.engine.base import Engine
from service.errors import EngineError, NoSuchWorkload
from service.jobs.model import Job
from service.lifecycle.exit_hints import Hint
from service.lifecycle.reaper import Reaper
from service.settings import Settings
from service.state.registry import Registry
from service.support.retry import Backoff, retry

# When a stop that has failed is tried again (seconds).
_RETRIES = Backoff(1.0, 10.0)


class RunEnds:
    """Stops a job as a kill does. What follows is decided by the reaper, as after any end."""

    def __init__(
        self, engine: Engine, registry: Registry, *, reaper: Reaper, settings: Settings
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._reaper = reaper
        self._grace = settings.job_stop_grace_seconds

    async def end(self, job: Job) -> None:
        """Stop a job, and have its end handled. It is tried until that run has ended."""
        for pause in _RETRIES:
            with suppress(EngineError):  # the engine's metrics have it, and it is tried again
                await self._stop(job)
            if await self.ends_within(job, pause):
                return

    async def ends_within(self, job: Job, seconds: float) -> bool:
        """Wait until a run of a job has ended, at most so long; whether it has."""
        has_ended = partial(_has_ended, job)
        return await self._registry.wait_within(job.launch_id, has_ended, seconds)

    async def _stop(self, job: Job) -> None:
        assert job.workload_id is not None
        workload_id, grace = job.workload_id, job.grace(self._grace)
        with suppress(NoSuchWorkload):
            await retry(lambda: self._engine.stop(workload_id, grace=grace))
        await self._reaper.reap(job.launch_id, Hint(witnessed=True), workload_id=workload_id)


def _has_ended(job: Job, now: Job) -> bool:
    """Whether a job does not run any more, or was started again."""
    return not now.runs or (now.run, now.exits) != (job.run, job.exits)
