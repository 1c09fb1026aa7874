"""Containers of this instance that are nobody's job: what earlier runs and failed starts left."""

import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from observability.logs import get_logger
from observability.metrics import Metrics
from service.background import side_by_side
from service.engine.base import Engine, Status, Workload
from service.errors import EngineRefused, EngineTimeout, NoSuchWorkload
from service.patience import patiently

log = get_logger(__name__)

_NOBODY_LAUNCHES = "the backend launches them anew at its own start alone, and not after ours"
_ADOPT = "restart the backend; SUPERVISOR_ON_START=adopt keeps what runs"


class Janitor:
    """Removes containers by their labels: never by image, and never a stranger's.

    `grace` is what a live one gets between SIGTERM and SIGKILL at the start, `orphan_grace` how
    long an orphan is left alone (seconds). With `dry_run` orphans are only told of.
    """

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        *,
        grace: float,
        keep: bool,
        orphan_grace: float,
        dry_run: bool,
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._grace = grace
        self._keep = keep  # development keeps exited containers
        self._orphan_grace = orphan_grace
        self._dry_run = dry_run
        self._first_seen: dict[str, float] = {}

    async def clean(self, workloads: Sequence[Workload]) -> None:
        """Remove all of them at the start, live ones after a SIGTERM, side by side.

        What the Engine refuses to remove is logged and left. Raises EngineUnavailable.
        """
        if workloads:
            log.info("janitor.started", containers=len(workloads))
        await side_by_side(partial(self._remove, force=True), workloads)
        if jobs := sum(each.status is Status.LIVE for each in workloads):
            log.warning("janitor.ended_jobs", jobs=jobs, meaning=_NOBODY_LAUNCHES, helps=_ADOPT)

    async def sweep(self, unknown: Sequence[Workload]) -> None:
        """Remove those orphans among what the registry does not know that had their grace.

        Never by force: what runs by now is a job, and the Engine refuses. Raises
        EngineUnavailable.
        """
        orphans: list[Workload] = []

        async def look(workload: Workload) -> None:
            if await self._still_orphaned(workload):
                orphans.append(workload)

        await side_by_side(look, [w for w in unknown if self._orphaned(w.status)])
        now = time.monotonic()
        new = [orphan for orphan in orphans if orphan.id not in self._first_seen]
        self._first_seen = {orphan.id: self._first_seen.get(orphan.id, now) for orphan in orphans}
        self._metrics.orphans.set(len(orphans))
        for orphan in new:
            log.warning("orphan.found", container_name=orphan.name, container_id=orphan.id)
        if not self._dry_run:
            due = [o for o in orphans if now - self._first_seen[o.id] >= self._orphan_grace]
            await side_by_side(partial(self._remove, force=False), due)

    def _orphaned(self, status: Status) -> bool:
        """What was never started, or has exited where nothing is kept."""
        return status is Status.CREATED or (status is Status.EXITED and not self._keep)

    async def _still_orphaned(self, workload: Workload) -> bool:
        """A listing is a moment old: what it tells of may have run, and been closed, since."""
        try:
            return self._orphaned((await self._engine.inspect(workload.id)).status)
        except NoSuchWorkload:
            return False
        except (EngineRefused, EngineTimeout):
            return True

    async def _remove(self, workload: Workload, *, force: bool) -> None:
        try:
            if workload.status is Status.LIVE:
                await self._stop(workload.id)
            await patiently(lambda: self._engine.remove(workload.id, force=force))
        except (EngineRefused, EngineTimeout) as error:
            log.warning("janitor.failed", container_name=workload.name, error=error.message)
            return
        self._metrics.orphans_removed.inc()
        log.info("janitor.removed", container_name=workload.name, container_id=workload.id)

    async def _stop(self, workload_id: str) -> None:
        with suppress(NoSuchWorkload, EngineRefused, EngineTimeout):  # then by force
            await patiently(lambda: self._engine.stop(workload_id, grace=self._grace))
