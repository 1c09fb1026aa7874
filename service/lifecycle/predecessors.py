"""Removes the workloads of the earlier runs of jobs that were started again."""

from collections.abc import Collection
from contextlib import suppress

from observability.logs import get_logger
from service.engine.base import Engine
from service.engine.workloads import Workload
from service.errors import EngineError, StillRuns
from service.jobs.labels import LAUNCH_LABEL, restarts_in
from service.jobs.model import Job, State
from service.lifecycle.removal import Remover
from service.lifecycle.surplus_workloads import SurplusWorkloads
from service.state.registry import Registry
from service.support.retry import retry

log = get_logger(__name__)


class Predecessors:
    """Keeps a list of the workloads of earlier runs that may be left, and removes them.

    They have to be removed before the workload of the last run. If only they were left, the next
    start of the supervisor would take the job for one that is to be started again.
    """

    def __init__(
        self, engine: Engine, remover: Remover, registry: Registry, surplus: SurplusWorkloads
    ) -> None:
        self._engine = engine
        self._remover = remover
        self._surplus = surplus
        self._left: dict[str, set[str]] = {}  # the ids of workloads, by launch id
        registry.subscribe(self._note_state)

    def note(self, job: Job, workload_id: str) -> None:
        """Note that a workload has a successor."""
        self._left.setdefault(job.launch_id, set()).add(workload_id)

    async def remove(self, job: Job, workload_id: str) -> None:
        """Remove a workload that has a successor. If it cannot be removed, it counts as left."""
        try:
            await retry(lambda: self._remover.remove(workload_id))
        except StillRuns:  # a third party has started it meanwhile
            self._surplus.stop(job, workload_id)
        except EngineError as error:  # a comparison has it removed
            log.warning(
                "container.left_behind",
                job=job.name,
                identifier=job.identifier,
                container_id=workload_id,
                error=error.message,
            )
        else:
            self._left.get(job.launch_id, set()).discard(workload_id)

    async def remove_left(self, job: Job) -> None:
        """Remove what is left of a job that is about to be closed, as far as that is possible.

        What a third party has started is being stopped; this waits for that.
        """
        for workload_id in await self._left_of(job):
            await self._surplus.wait(workload_id)
            with suppress(EngineError):  # a comparison has it removed
                await self._remover.remove(workload_id)

    async def _left_of(self, job: Job) -> Collection[str]:
        known = self._left.get(job.launch_id, ())
        keeps_id = self._engine.capabilities.successor_keeps_id
        if keeps_id or not (job.adopted and job.restarts.total):
            return tuple(known)
        with suppress(EngineError):
            found = await self._engine.find({LAUNCH_LABEL: job.launch_id})
            return [each.id for each in found if _is_predecessor(job, each)]
        return tuple(known)

    def _note_state(self, job: Job) -> None:
        if job.state is State.GONE:
            self._left.pop(job.launch_id, None)


def _is_predecessor(job: Job, workload: Workload) -> bool:
    """Whether a workload is that of an earlier run. A third party may have started it again."""
    earlier = restarts_in(workload.labels).total < job.restarts.total
    return earlier and not workload.aside and workload.id != job.workload_id
