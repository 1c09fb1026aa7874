"""Containers of this instance that are nobody's job: what earlier runs and failed starts left."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from observability.logs import get_logger
from observability.metrics import Metrics
from service.engine.base import Engine, Status, Workload
from service.errors import EngineRefused, EngineTimeout, NoSuchWorkload
from service.jobs.workload import job_fields
from service.lifecycle.removal import Remover
from service.settings import Settings
from service.support.retry import Backoff, patiently
from service.support.tasks import side_by_side

log = get_logger(__name__)

_NOBODY_LAUNCHES = "the backend launches them anew at its own start alone, and not after ours"
_ADOPT = "restart the backend; SUPERVISOR_ON_START=adopt keeps what runs"
# When a removal is tried again that has failed.
_RETRIES = Backoff(30.0, 3600.0)
# Requests wait at the start for the end of what an earlier run left, which gets no more time (s).
_START_GRACE = 10.0
# How many orphans a sweep inspects or removes at once. One that the Engine does not answer about
# takes up a thread, and exits and kills need threads, too (`BULK_THREADS`).
_AT_ONCE = 4


@dataclass(slots=True)
class _Plan:
    """When an orphan's removal is tried, and how long after that it is tried again."""

    due: float
    retries: Iterator[float] = field(default_factory=lambda: iter(_RETRIES))

    def postpone(self, now: float) -> None:
        """Try again later, and later each time."""
        self.due = now + next(self.retries)


class Janitor:
    """Removes containers by their labels: never by image, and never a stranger's."""

    def __init__(
        self,
        engine: Engine,
        remover: Remover,
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._remover = remover
        self._metrics = metrics
        self._grace = min(settings.job_stop_grace_seconds, _START_GRACE)
        self._keep = not settings.production  # whether containers stay that have exited
        self._orphan_grace = settings.orphan_grace_seconds
        self._dry_run = settings.orphan_dry_run
        self._plans: dict[str, _Plan] = {}

    async def clean(self, workloads: Sequence[Workload]) -> None:
        """Remove all of them at the start, live ones after a SIGTERM, side by side.

        What the Engine cannot remove is set aside; it is logged, and left. Raises
        EngineUnavailable.
        """
        if workloads:
            log.info("janitor.started", containers=len(workloads))
        await side_by_side(partial(self._remove, force=True), workloads)
        if jobs := sum(each.status is Status.LIVE for each in workloads):
            log.warning("janitor.ended_jobs", jobs=jobs, meaning=_NOBODY_LAUNCHES, helps=_ADOPT)

    async def sweep(self, unknown: Sequence[Workload]) -> None:
        """Remove those orphans among what the registry does not know that had their grace.

        Never by force: what runs by now is a job, and the Engine refuses. A few at a time: one that
        the Engine does not answer about takes up a thread. Raises EngineUnavailable.
        """
        found: set[str] = set()
        await side_by_side(partial(self._sweep, found), unknown, at_once=_AT_ONCE)
        self._plans = {each: plan for each, plan in self._plans.items() if each in found}
        self._metrics.orphans.set(len(found))

    async def _sweep(self, found: set[str], workload: Workload) -> None:
        """Decide about one container. A known orphan is inspected again when its removal is due."""
        plan = self._plans.get(workload.id)
        if plan is None or plan.due <= time.monotonic():
            if not await self._orphaned(workload):
                return
            plan = plan or self._plan(workload)
            if plan.due <= time.monotonic() and not self._dry_run:
                plan.postpone(time.monotonic())
                await self._remove(workload, force=False)
        found.add(workload.id)

    def _plan(self, orphan: Workload) -> _Plan:
        """A new orphan's plan. One that was set aside is known to belong to no job."""
        log.warning("orphan.found", **_fields(orphan))
        grace = min(_RETRIES.first, self._orphan_grace) if orphan.aside else self._orphan_grace
        plan = self._plans[orphan.id] = _Plan(time.monotonic() + grace)
        return plan

    async def _orphaned(self, workload: Workload) -> bool:
        """A listing is a moment old: what it tells of may have run, and been closed, since.

        Docker lists what it has failed to remove as being removed, for ever.
        """
        removing = workload.status is Status.REMOVING
        if not (removing or workload.aside or self._nobodys(workload.status)):
            return False
        try:
            status = (await self._engine.inspect(workload.id)).status
        except NoSuchWorkload:
            return False
        except (EngineRefused, EngineTimeout):
            status = workload.status
        return self._nobodys(status) or (workload.aside and status is not Status.LIVE)

    def _nobodys(self, status: Status) -> bool:
        """What was never started, or has exited where nothing is kept."""
        return status is Status.CREATED or (status is Status.EXITED and not self._keep)

    async def _remove(self, workload: Workload, *, force: bool) -> None:
        try:
            if workload.status in (Status.LIVE, Status.UNKNOWN):
                await self._stop(workload.id)
            removed = await self._free(workload, force=force)
        except (EngineRefused, EngineTimeout) as error:
            log.warning("janitor.failed", **_fields(workload), error=error.message)
            return
        if removed:
            self._metrics.orphans_removed.inc()
            log.info("janitor.removed", **_fields(workload))

    async def _free(self, workload: Workload, *, force: bool) -> bool:
        """Remove a container, or set it aside; once is enough for one that stands aside."""
        if workload.aside:
            await self._engine.remove(workload.id, force=force)
            return True
        return await patiently(lambda: self._remover.remove(workload.id, force=force))

    async def _stop(self, workload_id: str) -> None:
        with suppress(NoSuchWorkload, EngineRefused, EngineTimeout):  # then by force
            await patiently(lambda: self._engine.stop(workload_id, grace=self._grace))


def _fields(workload: Workload) -> Mapping[str, str]:
    """What each event about one has: the container, what it did, and the job that it was of."""
    return {
        "container_name": workload.name,
        "container_id": workload.id,
        "status": workload.status.value,
        **job_fields(workload.labels),
    }
