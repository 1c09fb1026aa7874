"""What earlier runs of this instance left on the Engine."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from observability.logs import get_logger
from observability.metrics import Metrics
from service.engine.base import Engine, Status, Workload
from service.errors import EngineRefused, EngineTimeout, NoSuchWorkload

log = get_logger(__name__)


class Janitor:
    """Removes containers by their labels: never by image, and never a stranger's."""

    def __init__(self, engine: Engine, metrics: Metrics, *, grace: float) -> None:
        self._engine = engine
        self._metrics = metrics
        self._grace = grace

    async def clean(self, workloads: Sequence[Workload]) -> None:
        """Remove all of them, live ones after a SIGTERM, side by side.

        What the Engine refuses to remove is logged and left. Raises EngineUnavailable.
        """
        if workloads:
            log.info("janitor.started", containers=len(workloads))
        await asyncio.gather(*map(self._remove, workloads))

    async def _remove(self, workload: Workload) -> None:
        try:
            if workload.status is Status.LIVE:
                await self._stop(workload.id)
            await self._engine.remove(workload.id, force=True)
        except (EngineRefused, EngineTimeout) as error:
            log.warning("janitor.failed", container_name=workload.name, error=error.message)
            return
        self._metrics.orphans_removed.inc()
        log.info("janitor.removed", container_name=workload.name, container_id=workload.id)

    async def _stop(self, workload_id: str) -> None:
        with suppress(NoSuchWorkload):
            await self._engine.stop(workload_id, grace=self._grace)
