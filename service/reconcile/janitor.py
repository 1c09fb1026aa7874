"""Removes workloads that are no job's: those of earlier runs, and orphans."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from observability.logs import get_logger
from observability.metrics import Metrics
from service.engine.base import Engine
from service.engine.workloads import Status, Workload
from service.errors import EngineRefused, EngineTimeout, EngineUnavailable, NoSuchWorkload
from service.jobs.labels import is_restartable, job_fields, launch_id_in, restarts_in, stop_grace_in
from service.jobs.model import Job
from service.lifecycle.removal import Removal, Remover
from service.reconcile.earlier_jobs import EarlierJobs
from service.settings import Settings
from service.support.retry import Backoff, retry
from service.support.tasks import run_concurrently

log = get_logger(__name__)

_NOBODY_LAUNCHES = "the backend launches them anew at its own start alone, and not after ours"
_ADOPT = "restart the backend; SUPERVISOR_ON_START=adopt keeps what runs"
# When a removal is tried again that has failed.
_RETRIES = Backoff(30.0, 3600.0)
# The longest grace of a stop at the start (seconds), since requests wait for that.
_LONGEST_START_GRACE = 10.0
# How many orphans a sweep inspects or removes at once. Each call that gets no answer occupies a
# thread, and exits and kills need threads, too (`BULK_THREADS`).
_AT_ONCE = 4


@dataclass(slots=True)
class Plan:
    """When the removal of a workload is tried next, and the pauses after that."""

    due: float
    pauses: Iterator[float] = field(default_factory=lambda: iter(_RETRIES))
    tries: int = 0

    def postpone(self, now: float) -> None:
        """Try again later, each time after a longer pause."""
        self.tries += 1
        self.due = now + next(self.pauses)


class Janitor:
    """Removes workloads of this instance, which it knows by their labels."""

    def __init__(
        self,
        engine: Engine,
        remover: Remover,
        metrics: Metrics,
        settings: Settings,
        *,
        earlier: EarlierJobs,
    ) -> None:
        self._engine = engine
        self._remover = remover
        self._earlier = earlier
        self._metrics = metrics
        self._grace = settings.job_stop_grace_seconds
        self._keep = not settings.production  # whether exited workloads are kept
        self._orphan_grace = settings.orphan_grace_seconds
        self._dry_run = settings.orphan_dry_run
        self._plans: dict[str, Plan] = {}  # by workload id
        self._unreported: dict[str, Job] = {}  # by the id of a workload that the start has left

    @property
    def stuck(self) -> int:
        """How many orphans could not be removed, however often that was tried."""
        return sum(plan.tries > 1 for plan in self._plans.values())

    async def remove_all(self, workloads: Sequence[Workload]) -> None:
        """Remove all workloads at the start; live ones are stopped before.

        A workload that cannot be removed is set aside, and that is logged. Raises
        EngineUnavailable.
        """
        if workloads:
            log.info("janitor.started", containers=len(workloads))
        await run_concurrently(self._end_launch, _by_launch(workloads))
        if jobs := sum(each.status is Status.LIVE for each in workloads):
            log.warning("janitor.ended_jobs", jobs=jobs, meaning=_NOBODY_LAUNCHES, helps=_ADOPT)

    async def _end_launch(self, runs: Sequence[Workload]) -> None:
        """Remove all workloads of a launch. Its job has ended with the last run that there was."""
        ended = None
        for workload in runs:
            if workload.status in (Status.LIVE, Status.UNKNOWN):
                await self._stop(workload)
            ended = await self._earlier.ended(workload) or ended
            if not await self._remove(workload, force=True):
                if ended and workload is runs[-1]:
                    self._unreported[workload.id] = ended
                return
        if ended:
            self._earlier.report(ended)

    async def sweep(self, unknown: Sequence[Workload]) -> None:
        """Remove those orphans among unknown workloads whose grace is over.

        Never by force: if one is live by now, it is a job, and the engine refuses. A few at a
        time. Raises EngineUnavailable.
        """
        orphans: set[str] = set()
        await run_concurrently(partial(self._sweep, orphans), unknown, at_once=_AT_ONCE)
        self._plans = {each: plan for each, plan in self._plans.items() if each in orphans}
        self._unreported = {each: job for each, job in self._unreported.items() if each in orphans}
        self._metrics.orphans.set(len(orphans))
        await self._sweep_files()

    async def _sweep_files(self) -> None:
        """Remove the files with credentials that have been left when their workload was removed."""
        sweep = self._engine.capabilities.sweep_files
        if sweep is None or self._dry_run:
            return
        try:
            removed = await sweep(grace=self._orphan_grace)
        except (EngineRefused, EngineTimeout, NoSuchWorkload) as error:
            log.warning("credentials.left_behind", error=error.message)
            return
        if removed:
            log.info("credentials.removed", files=removed)

    async def _sweep(self, orphans: set[str], workload: Workload) -> None:
        """Handle one workload. A known orphan is inspected again only when its removal is due."""
        plan = self._plans.get(workload.id)
        if plan is None or plan.due <= time.monotonic():
            if not await self._is_orphan(workload):
                return
            plan = plan or self._plan(workload)
            if plan.due <= time.monotonic() and not self._dry_run:
                plan.postpone(time.monotonic())
                if await self._remove(workload, force=False):
                    self._report_late(workload)
        orphans.add(workload.id)

    def _report_late(self, workload: Workload) -> None:
        """Report the end of a job whose workload the start could not remove."""
        if ended := self._unreported.pop(workload.id, None):
            self._earlier.report(ended)

    def _plan(self, orphan: Workload) -> Plan:
        """The plan for a new orphan. One that was set aside needs no long grace."""
        log.warning("orphan.found", **fields_of(orphan))
        grace = min(_RETRIES.first, self._orphan_grace) if orphan.aside else self._orphan_grace
        plan = self._plans[orphan.id] = Plan(time.monotonic() + grace)
        return plan

    async def _is_orphan(self, workload: Workload) -> bool:
        """Whether a workload belongs to no job. The listing may be older than its start.

        Docker lists a workload that it has failed to remove as being removed, for ever.
        """
        removing = workload.status is Status.REMOVING
        if not (removing or workload.aside or self._is_orphaned(workload, workload.status)):
            return False
        try:
            status = (await self._engine.inspect(workload.id)).status
        except NoSuchWorkload:
            return False
        except (EngineRefused, EngineTimeout):
            status = workload.status
        return self._is_orphaned(workload, status) or (workload.aside and status is not Status.LIVE)

    def _is_orphaned(self, workload: Workload, status: Status) -> bool:
        """Whether it was never started, or has exited and is not kept."""
        kept = self._keep and not is_restartable(workload.labels)
        return status is Status.CREATED or (status is Status.EXITED and not kept)

    async def _remove(self, workload: Workload, *, force: bool) -> bool:
        """Remove a workload; by force at the start, after a stop. False if that has failed."""
        try:
            removed = await self._free_name(workload, force=force)
        except (EngineRefused, EngineTimeout) as error:
            log.warning("janitor.failed", **fields_of(workload), error=error.message)
            return False
        if removed:
            self._metrics.orphans_removed.inc()
            log.info("janitor.removed", **fields_of(workload))
        return True

    async def _free_name(self, workload: Workload, *, force: bool) -> bool:
        """Remove a workload, or set it aside; if it is set aside already, only remove it.

        False if it was set aside, or if somebody else has removed it.
        """
        if workload.aside:
            return await self._engine.remove(workload.id, force=force)
        lost_answer = False

        async def remove() -> Removal:
            nonlocal lost_answer
            try:
                return await self._remover.remove(workload.id, force=force)
            except EngineUnavailable:
                lost_answer = True
                raise

        removal = await retry(remove)
        return removal is Removal.REMOVED or (lost_answer and removal is Removal.GONE)

    async def _stop(self, workload: Workload) -> None:
        grace = min(stop_grace_in(workload.labels, self._grace), _LONGEST_START_GRACE)
        with suppress(NoSuchWorkload, EngineRefused, EngineTimeout):  # the removal is by force
            await retry(lambda: self._engine.stop(workload.id, grace=grace))


def _by_launch(workloads: Sequence[Workload]) -> Collection[Sequence[Workload]]:
    """The workloads of each launch: a job that was started again may have one for a run."""
    found: dict[str, list[Workload]] = {}
    for workload in sorted(workloads, key=lambda each: restarts_in(each.labels).total):
        found.setdefault(launch_id_in(workload.labels) or workload.id, []).append(workload)
    return found.values()


def fields_of(workload: Workload) -> Mapping[str, str]:
    """The fields of each event about a workload: what it is, and the job that it belonged to."""
    return {
        "container_name": workload.name,
        "container_id": workload.id,
        "status": workload.status.value,
        **job_fields(workload.labels),
        **({"node": workload.node} if workload.node else {}),
    }
