"""Makes a job of a workload that this process has not launched."""

import time
from collections.abc import Mapping
from dataclasses import replace

from service.engine.base import Engine
from service.engine.workloads import Health, Inspection, Status, Workload
from service.jobs.labels import job_from_labels
from service.jobs.model import Job
from service.jobs.observations import ExitSeen, Started
from service.lifecycle.exit_hints import Hint, Recent
from service.lifecycle.live_jobs import note_health
from service.lifecycle.other_supervisors import OtherSupervisors
from service.lifecycle.reaper import Reaper
from service.reporting.job_reports import log_adoption
from service.state.registry import Registry
from service.support.retry import retry
from service.support.tasks import Background

# For how long an event about an unknown workload is remembered (seconds): longer than it takes
# to get from an inspection of the workload to its adoption.
_REMEMBERED = 60.0


class Adoption:
    """The only way into the registry beside a launch's reservation."""

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        *,
        reaper: Reaper,
        others: OtherSupervisors,
        background: Background,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._reaper = reaper
        self._others = others
        self._background = background
        self._events: Recent[Hint] = Recent(_REMEMBERED)

    def note_event(self, workload_id: str, hint: Hint) -> None:
        """Remember that a workload has changed that is no job, but may be about to become one."""
        earlier = self._events.get(workload_id) or hint
        told = hint.oom_killed or earlier.oom_killed
        self._events.note(workload_id, replace(hint, oom_killed=told))

    def note_start(self, workload_id: str) -> None:
        """Forget what has happened to it so far: that was another run."""
        self._events.forget(workload_id)

    def adopt(self, job: Job, seen: Inspection) -> None:
        """Make a live workload a job. If an event came after `seen`, it is inspected again."""
        ready = not _may_become_ready(job, seen)
        started = Started(seen.id, seen.started_at, seen.paused, seen.node, ready, seen.name)
        self._registry.adopt(described(job, seen), started)
        log_adoption(job, seen)
        note_health(self._registry, job.launch_id, seen)
        self._others.note_stop(job.launch_id, seen)
        hint = self._events.get(seen.id)
        if hint is not None:
            work = self._inspect_again(job.launch_id, hint)
            self._background.spawn(work, f"reap {job.launch_id}")

    async def adopt_unknown(self, labels: Mapping[str, str]) -> None:
        """Make jobs of all that others have launched, or are launching, by now.

        Raises the `EngineError`s.
        """
        for workload in await retry(lambda: self._engine.find(labels)):
            job = job_from_labels(workload.labels)
            ended = workload.status in (Status.EXITED, Status.REMOVING)
            if job is not None and not ended and self._registry.get(job.launch_id) is None:
                started = Started(workload.id, workload.created_at, name=workload.name)
                self._registry.adopt(described(job, workload), started)

    def adopt_exited(self, job: Job, seen: Inspection) -> None:
        """Report an exit that was no job's when it happened, and remove the workload."""
        self._add_exited(job, seen)
        self._background.spawn(self._reap_last(job.launch_id, seen.id), f"reap {job.launch_id}")

    async def close_exited(self, job: Job, seen: Inspection) -> None:
        """The same, at once, whether or not the job is known. Raises the `EngineError`s."""
        if self._registry.get(job.launch_id) is None:
            self._add_exited(job, seen)
        await self._reaper.reap(job.launch_id, Hint())

    def _add_exited(self, job: Job, seen: Inspection) -> None:
        started = Started(seen.id, seen.started_at, node=seen.node, name=seen.name)
        self._registry.adopt(described(job, seen), started)
        self._others.note_stop(job.launch_id, seen)
        self._registry.observe(job.launch_id, ExitSeen())  # no launch may take it for running

    async def _reap_last(self, launch_id: str, workload_id: str) -> None:
        await self._others.wait_for(launch_id)
        await self._inspect_again(launch_id, self._events.get(workload_id) or Hint())

    async def _inspect_again(self, launch_id: str, hint: Hint) -> None:
        witnessed = hint.witnessed and not await self._engine.leaving()
        await self._reaper.reap(launch_id, replace(hint, witnessed=witnessed))


def described(job: Job, seen: Inspection | Workload) -> Job:
    """A job, with facts that its labels do not have, or did not have when it was launched."""
    created_at = job.created_at or seen.created_at
    return replace(job, image=seen.image, image_digest=seen.image_digest, created_at=created_at)


def _may_become_ready(job: Job, seen: Inspection) -> bool:
    """Whether the launch of a live workload may still be waiting for its health.

    One that is unhealthy, or past its time, may have been healthy before: a restart of Docker with
    live-restore begins all health checks anew. It must not be ended.
    """
    if job.ready_within is None or seen.health is not Health.STARTING:
        return False
    return time.time() < seen.started_at + job.ready_within
