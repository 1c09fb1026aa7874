"""Compares the registry with a listing of the engine, and inspects the workloads that differ."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from observability.logs import get_logger
from observability.metrics import Metrics
from service.engine.workloads import Status, Workload
from service.errors import EngineError, EngineTimeout, EngineUnavailable
from service.jobs.labels import launch_id_in
from service.jobs.model import Job
from service.jobs.observations import ExitSeen
from service.lifecycle.abandoned_launches import AbandonedLaunches
from service.lifecycle.exit_hints import Hint, Signals
from service.lifecycle.reaper import Reaper
from service.reconcile.adopter import Adopter, log_engine_error
from service.reconcile.janitor import Janitor
from service.reconcile.retention import Retention
from service.state.registry import Registry
from service.state.registry_snapshot import Snapshot, differs, differs_in_health
from service.support.tasks import Background, SingleFlight

log = get_logger(__name__)

# How long a comparison waits for its inspections (seconds): less than a request waits for
# readiness.
_WAIT_SECONDS = 3.0
# Inspections at once. Those that get no answer must leave threads to events and kills
# (`BULK_THREADS`).
_AT_ONCE = 8
_LOGGED_IDENTIFIERS = 10
# Observations in one step of the event loop.
_STEP = 10

_ENDED = (Status.EXITED, Status.REMOVING)


@dataclass(kw_only=True, eq=False)
class Comparison:
    """Brings the registry in step with a listing."""

    registry: Registry
    reaper: Reaper
    abandoned: AbandonedLaunches
    adopter: Adopter
    janitor: Janitor
    retention: Retention
    signals: Signals
    background: Background
    metrics: Metrics
    _turns: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_AT_ONCE), init=False
    )
    # By launch id.
    _inspections: SingleFlight[None] = field(default_factory=SingleFlight, init=False)

    async def compare(
        self,
        workloads: Sequence[Workload],
        known: Snapshot,
        *,
        closely: bool = False,
        witnessed: bool = False,
    ) -> None:
        """Inspect all workloads about which the registry and the listing disagree.

        `workloads` need not contain those that `known` has confirmed. With `closely`, the
        workloads of all jobs are inspected: Docker reports an exit some milliseconds before its
        listings show it, so after a gap an exit may be in neither events nor listing.

        Inspections that take too long go on in the background, and so do all removals: no request
        has to wait for them. Raises EngineUnavailable.
        """
        unknown = [w for w in workloads if w.aside or not self._is_known(w)]
        jobs = self.registry.jobs() if closely else self._unconfirmed(known)
        unanswered = await self._inspect_jobs(jobs, workloads, closely=closely, witnessed=witnessed)
        await self.adopter.examine_all([w for w in unknown if self._may_be_a_job(w)])
        self._remove_leftovers([w for w in unknown if not self._may_be_a_job(w)], known)
        await self._note_images(known)
        if unanswered:
            identifiers = [job.identifier for job in unanswered[:_LOGGED_IDENTIFIERS]]
            log.warning("compare.incomplete", jobs=len(unanswered), identifiers=identifiers)
        else:
            self.metrics.reconciled_at.set(time.time())

    async def _note_images(self, known: Snapshot) -> None:
        """Note the images of jobs: the answer to a launch does not have them."""
        for number, (launch_id, seen) in enumerate(known.images.items(), 1):
            self.registry.observe(launch_id, seen)
            if number % _STEP == 0:
                await asyncio.sleep(0)

    def _is_known(self, workload: Workload) -> bool:
        """Whether it is the workload of a job, or a live one with the labels of a job.

        A failed try of a launch can leave a second workload, which a third party has renamed. One
        that was replaced may run, too: a third party has started it again.
        """
        job = self.registry.get(launch_id_in(workload.labels))
        live = workload.status is Status.LIVE and not workload.replaced
        return job is not None and (live or job.workload_id in (None, workload.id))

    def _may_be_a_job(self, workload: Workload) -> bool:
        return workload.status is Status.LIVE and not self._was_abandoned(workload)

    def _was_abandoned(self, workload: Workload) -> bool:
        return launch_id_in(workload.labels) in self.abandoned

    def _remove_leftovers(self, leftovers: Sequence[Workload], known: Snapshot) -> None:
        """Begin to remove workloads that belong to no job, unless a sweep is still under way.

        A workload whose job was `known`, and has been closed since, is gone by now.
        """
        orphans = []
        for workload in leftovers:
            if self._was_abandoned(workload):
                self.abandoned.remove(workload.id, workload.labels)
            elif workload.aside or not known.has_workload(workload):
                orphans.append(workload)
        self.background.spawn_once(lambda: self._sweep(orphans), "sweep")

    async def _sweep(self, orphans: Sequence[Workload]) -> None:
        with suppress(EngineUnavailable):  # the next comparison sweeps again
            await self.janitor.sweep(orphans)
            await self.retention.trim(orphans)

    def _unconfirmed(self, known: Snapshot) -> Sequence[Job]:
        """The jobs that a listing does not confirm, as they are now."""
        now = (self.registry.get(job.launch_id) for job in known.unconfirmed)
        return [job for job in now if job is not None]

    async def _inspect_jobs(
        self, jobs: Sequence[Job], workloads: Sequence[Workload], *, closely: bool, witnessed: bool
    ) -> Sequence[Job]:
        """Have the workloads of jobs inspected; the jobs for which there is no answer yet."""
        listed = {workload.id: workload for workload in workloads}
        started = [job for job in jobs if job.workload_id is not None]
        differing = {
            job.launch_id
            for job in started
            if differs(job, listed) or differs_in_health(job, listed)
        }
        doubtful = [job for job in started if closely or job.launch_id in differing]
        # First those that are not listed, about which the answer is quick; then the exited ones.
        doubtful.sort(key=lambda j: (j.workload_id in listed, j.launch_id not in differing))
        if closely:
            self._inspections.cancel_all()  # which were begun before the gap
        await _wait_for([self._begin_inspection(job, witnessed=witnessed) for job in doubtful])
        unanswered = [job for job in doubtful if self._is_unanswered(job)]
        for job in unanswered:
            self._believe_exit(job, listed)
        return unanswered

    def _begin_inspection(self, job: Job, *, witnessed: bool) -> "asyncio.Task[None]":
        if under_way := self._inspections.get(job.launch_id):
            return under_way
        work = self._inspect(job, witnessed=witnessed)
        task = self._inspections.begin(job.launch_id, work, f"look {job.launch_id}")
        task.add_done_callback(_log_crash)
        return task

    def _is_unanswered(self, job: Job) -> bool:
        under_way = self._inspections.get(job.launch_id)
        return under_way is not None or self.reaper.will_inspect_again(job.launch_id)

    async def _inspect(self, job: Job, *, witnessed: bool) -> None:
        async with self._turns:
            if not self.reaper.will_inspect_again(job.launch_id):
                await log_engine_error(
                    self._reap(job, witnessed=witnessed), job=job.name, identifier=job.identifier
                )

    async def _reap(self, job: Job, *, witnessed: bool) -> None:
        """Have the reaper inspect it.

        If there was a signal before the exit, the engine may have sent it at its own stop, and be
        back: then no supervisor has seen the exit.
        """
        signal = self._signal_before_exit(job.launch_id)
        hint = Hint(signal=signal, witnessed=witnessed and signal is None)
        with suppress(EngineTimeout):  # one warning reports all of these jobs
            await self.reaper.reap(job.launch_id, hint)

    def _signal_before_exit(self, launch_id: str) -> int | None:
        """The signal that has ended a job, if it has exited, maybe without an event."""
        job = self.registry.get(launch_id)
        if job is None or job.workload_id is None:
            return None
        if job.exit_signal is not None:
            return job.exit_signal
        return self.signals.get(job.workload_id)

    def _believe_exit(self, job: Job, listed: Mapping[str, Workload]) -> None:
        """Take a job as exited if the listing says so, until an inspection is answered.

        No launch may take it as running meanwhile.
        """
        now, workload = self.registry.get(job.launch_id), listed.get(job.workload_id or "")
        if now and not now.exit_seen and workload and workload.status in _ENDED:
            self.registry.observe(job.launch_id, ExitSeen())


def _log_crash(inspection: "asyncio.Task[None]") -> None:
    error = None if inspection.cancelled() else inspection.exception()
    if error is not None and not isinstance(error, EngineError):
        log.error("background.crashed", work=inspection.get_name(), exc_info=error)


async def _wait_for(inspections: Sequence["asyncio.Task[None]"]) -> None:
    """Wait until all are done, but not for long. Raises EngineUnavailable."""
    if inspections:
        first = asyncio.FIRST_EXCEPTION
        done, _ = await asyncio.wait(inspections, timeout=_WAIT_SECONDS, return_when=first)
        for inspection in done:
            inspection.result()
