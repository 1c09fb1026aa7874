"""Reports how the jobs of an earlier run have ended whose workloads the start removes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from service.engine.base import Engine
from service.engine.workloads import Inspection, Status, Workload
from service.errors import EngineError
from service.jobs.labels import is_restartable, job_from_labels
from service.jobs.model import FAILED_OUTCOMES, Job
from service.jobs.observations import KillIntended, Started
from service.jobs.outcomes import outcome_of
from service.jobs.transitions import advance
from service.lifecycle.adoption import described
from service.lifecycle.exit_hints import Hint
from service.lifecycle.exits import exit_of
from service.lifecycle.last_lines import last_lines
from service.settings import Settings

# A short time limit, since the engine may not answer about some workloads (seconds).
_TIMEOUT = 2.0


@dataclass(kw_only=True, eq=False)
class EarlierJobs:
    """A job that the start ends was killed. One that had exited before is reported as it ended."""

    engine: Engine
    settings: Settings
    _listeners: list[Callable[[Job], None]] = field(default_factory=list, init=False)

    def subscribe(self, listener: Callable[[Job], None]) -> None:
        """Call the listener with each job that has ended."""
        self._listeners.append(listener)

    def report(self, job: Job) -> None:
        """Report the end of a job whose workload is removed, so that no later start finds it."""
        for listener in self._listeners:
            listener(job)

    async def ended(self, workload: Workload) -> Job | None:
        """The job of a workload that does not run any more, before its removal.

        None if it was no job's, or if the earlier run has reported its end.
        """
        job = job_from_labels(workload.labels)
        if job is None or workload.aside or self._is_reported(workload):
            return None
        try:
            seen = await self.engine.inspect(workload.id, timeout=_TIMEOUT)
            return await self._closed(job, workload, seen) if seen.started_at else None
        except EngineError:
            return None

    def _is_reported(self, workload: Workload) -> bool:
        """Whether it has exited for good, and development keeps it; or has never run."""
        if workload.status is not Status.EXITED:
            return workload.status not in (Status.LIVE, Status.UNKNOWN)
        return not (self.settings.production or is_restartable(workload.labels))

    async def _closed(self, job: Job, workload: Workload, seen: Inspection) -> Job:
        started = Started(seen.id, seen.started_at, node=seen.node, name=seen.name)
        job = advance(described(job, seen), started)
        if workload.status is not Status.EXITED:
            job = advance(job, KillIntended(here=False))
        exited = exit_of(seen, Hint())
        if outcome_of(job, exited) in FAILED_OUTCOMES:
            exited = replace(exited, last_lines=await last_lines(self.engine, job, seen))
        return advance(job, exited)
