"""The registry compared with a listing of the Engine; where they differ, a look decides."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from observability.logs import get_logger
from observability.metrics import Metrics
from service.engine.base import Status, Workload
from service.errors import EngineError, EngineTimeout, EngineUnavailable
from service.jobs.model import ExitSeen, Job
from service.jobs.workload import launch_id_in
from service.lifecycle.abandoned import AbandonedLaunches
from service.lifecycle.exit_hints import Hint, Signals
from service.lifecycle.reaper import Reaper
from service.reconcile.adopter import Adopter, bearing
from service.reconcile.janitor import Janitor
from service.state.registry import Registry
from service.state.snapshot import Snapshot, differs
from service.support.tasks import Background, SingleFlight

log = get_logger(__name__)

# How long the looks at all jobs may take (seconds): less than a request waits for readiness.
_PATIENCE = 3.0
# Looks at once. What is not answered must leave threads to events and kills (`BULK_THREADS`).
_AT_ONCE = 8
_TOLD_IDENTIFIERS = 10

_ENDED = (Status.EXITED, Status.REMOVING)


class Comparison:
    """Brings the registry in step with what the Engine lists."""

    def __init__(
        self,
        *,
        registry: Registry,
        reaper: Reaper,
        abandoned: AbandonedLaunches,
        adopter: Adopter,
        janitor: Janitor,
        signals: Signals,
        background: Background,
        metrics: Metrics,
    ) -> None:
        self._registry = registry
        self._reaper = reaper
        self._abandoned = abandoned
        self._adopter = adopter
        self._janitor = janitor
        self._signals = signals
        self._background = background
        self._metrics = metrics
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._looks: SingleFlight[None] = SingleFlight()  # by launch

    async def compare(
        self,
        workloads: Sequence[Workload],
        known: Snapshot,
        *,
        closely: bool = False,
        witnessed: bool = False,
    ) -> None:
        """Inspect whatever the registry and the listing do not agree on.

        What `known` has confirmed may be missing in `workloads`. A container whose job was `known`
        and has ended since is no orphan: it is gone by now. One that stands aside is nobody's,
        even if another one of its launch is a job.
        With `closely` every job is inspected. Docker tells of an exit some milliseconds before its
        listings know of it: of one that fell into a gap, neither events nor listing may tell.
        Looks that take too long go on in the background, as all removals do: no request has to wait
        for those. Raises EngineUnavailable.
        """
        unknown = [w for w in workloads if w.aside or not self._is_known(w)]
        jobs = self._registry.jobs() if closely else self._unconfirmed(known)
        unseen = await self._look_at_jobs(jobs, workloads, closely=closely, witnessed=witnessed)
        await self._adopter.meet_all([w for w in unknown if self._may_be_a_job(w)])
        self._remove_leftovers([w for w in unknown if not self._may_be_a_job(w)], known)
        if unseen:
            told = [job.identifier for job in unseen[:_TOLD_IDENTIFIERS]]
            log.warning("compare.incomplete", jobs=len(unseen), identifiers=told)
        else:
            self._metrics.reconciled_at.set(time.time())

    def _remove_leftovers(self, leftovers: Sequence[Workload], known: Snapshot) -> None:
        """Begin to remove what belongs to no job, unless an earlier sweep is still under way."""
        orphans = []
        for workload in leftovers:
            if self._was_given_up(workload):
                self._abandoned.discard(workload.id, workload.labels)
            elif workload.aside or not known.has_container(workload):
                orphans.append(workload)
        self._background.spawn_once(lambda: self._sweep(orphans), "sweep")

    async def _sweep(self, orphans: Sequence[Workload]) -> None:
        with suppress(EngineUnavailable):  # the comparison after its return sweeps again
            await self._janitor.sweep(orphans)

    def _unconfirmed(self, known: Snapshot) -> Sequence[Job]:
        """The jobs that a listing does not confirm, as they are now."""
        now = (self._registry.get(job.launch_id) for job in known.unconfirmed)
        return [job for job in now if job is not None]

    async def _look_at_jobs(
        self, jobs: Sequence[Job], workloads: Sequence[Workload], *, closely: bool, witnessed: bool
    ) -> Sequence[Job]:
        """Inspect those that have to be; the jobs for which that was not possible yet."""
        listed = {workload.id: workload for workload in workloads}
        started = [job for job in jobs if job.workload_id is not None]
        differing = {job.launch_id for job in started if differs(job, listed)}
        doubtful = [job for job in started if closely or job.launch_id in differing]
        # What is gone comes first, as the Engine says so at once; then what is said to have ended.
        doubtful.sort(key=lambda j: (j.workload_id in listed, j.launch_id not in differing))
        if closely:
            self._looks.cancel_all()  # which were begun before the gap
        await _done([self._look(job, witnessed=witnessed) for job in doubtful])
        unseen = [job for job in doubtful if self._is_unseen(job)]
        for job in unseen:
            self._believe(job, listed)
        return unseen

    def _look(self, job: Job, *, witnessed: bool) -> "asyncio.Task[None]":
        """A look at a job; one at a time for each."""
        if under_way := self._looks.get(job.launch_id):
            return under_way
        name = f"look {job.launch_id}"
        task = self._looks.begin(job.launch_id, self._find_ended(job, witnessed=witnessed), name)
        task.add_done_callback(_report_crash)
        return task

    def _is_unseen(self, job: Job) -> bool:
        looked_at = self._looks.get(job.launch_id)
        return looked_at is not None or self._reaper.is_troubled(job.launch_id)

    async def _find_ended(self, job: Job, *, witnessed: bool) -> None:
        async with self._turns:
            if not self._reaper.is_troubled(job.launch_id):  # else it is looked at again anyway
                await bearing(
                    self._reap(job, witnessed=witnessed), job=job.name, identifier=job.identifier
                )

    async def _reap(self, job: Job, *, witnessed: bool) -> None:
        signal, witnessed = self._what_preceded(job, witnessed=witnessed)
        with suppress(EngineTimeout):  # of all such jobs, one warning tells
            await self._reaper.reap(job.launch_id, Hint(signal=signal, witnessed=witnessed))

    def _what_preceded(self, job: Job, *, witnessed: bool) -> tuple[int | None, bool]:
        """The signal that a job has got, if it has ended, and whether the Engine was there then.

        An Engine that ends its containers may be back at once, as if it had never left.
        """
        signal = self._signal_before_end(job.launch_id)
        return signal, witnessed and signal is None

    def _signal_before_end(self, launch_id: str) -> int | None:
        """What a job has got that has been found to have ended, maybe without an event."""
        job = self._registry.get(launch_id)
        if job is None or job.workload_id is None:
            return None
        if job.exit_signal is not None:
            return job.exit_signal
        return self._signals.lately(job.workload_id)

    def _believe(self, job: Job, listed: Mapping[str, Workload]) -> None:
        """Take a job for ended where the listing says so, until a look tells more.

        No launch may take it for running meanwhile.
        """
        now, workload = self._registry.get(job.launch_id), listed.get(job.workload_id or "")
        if now and not now.exit_seen and workload and workload.status in _ENDED:
            self._registry.observe(job.launch_id, ExitSeen())

    def _is_known(self, workload: Workload) -> bool:
        """Whether it is the container of a job, or a live one with the labels of a job.

        A failed try of a launch can leave a second container, which a third party has renamed.
        """
        job = self._registry.get(launch_id_in(workload.labels))
        live = workload.status is Status.LIVE
        return job is not None and (live or job.workload_id in (None, workload.id))

    def _may_be_a_job(self, workload: Workload) -> bool:
        return workload.status is Status.LIVE and not self._was_given_up(workload)

    def _was_given_up(self, workload: Workload) -> bool:
        return launch_id_in(workload.labels) in self._abandoned


def _report_crash(look: "asyncio.Task[None]") -> None:
    error = None if look.cancelled() else look.exception()
    if error is not None and not isinstance(error, EngineError):
        log.error("background.crashed", work=look.get_name(), exc_info=error)


async def _done(looks: Sequence["asyncio.Task[None]"]) -> None:
    """Wait until they are done, or it takes too long. Raises EngineUnavailable."""
    if looks:
        first = asyncio.FIRST_EXCEPTION
        done, _ = await asyncio.wait(looks, timeout=_PATIENCE, return_when=first)
        for look in done:
            look.result()
