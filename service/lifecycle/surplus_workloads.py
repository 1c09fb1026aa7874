"""Live workloads beside the job of their identifier, and the stops that end them."""

import asyncio

from observability.logs import get_logger
from service.engine.base import Engine
from service.jobs.model import Job
from service.lifecycle.removal import Remover
from service.settings import Settings
from service.support.tasks import Background

log = get_logger(__name__)


class SurplusWorkloads:
    """Stops workloads of an identifier that has another live one.

    While a stop is under way, the workload must not become a job: it is about to exit.
    """

    def __init__(
        self, engine: Engine, remover: Remover, background: Background, settings: Settings
    ) -> None:
        self._engine = engine
        self._remover = remover
        self._background = background
        self._keep = not settings.production
        self._grace = settings.job_stop_grace_seconds

    def __contains__(self, workload_id: str) -> bool:
        """Whether a stop of this workload is under way."""
        return self._background.get(_task_name(workload_id)) is not None

    def stop(self, job: Job, workload_id: str) -> None:
        """Stop a workload in the background; in production, remove it too."""
        self._background.spawn_once(lambda: self._stop(job, workload_id), _task_name(workload_id))

    async def wait(self, workload_id: str) -> None:
        """Wait until no stop of this workload is under way, even if the stop fails."""
        if stop := self._background.get(_task_name(workload_id)):
            await asyncio.wait({stop})

    async def _stop(self, job: Job, workload_id: str) -> None:
        log.warning(
            "job.surplus", job=job.name, identifier=job.identifier, container_id=workload_id
        )
        await self._engine.stop(workload_id, grace=job.grace(self._grace))
        if not self._keep:
            await self._remover.remove(workload_id)


def _task_name(workload_id: str) -> str:
    return f"surplus {workload_id}"
