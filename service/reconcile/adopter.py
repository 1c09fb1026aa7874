"""Containers of ours that the registry does not know: jobs to take over, or one too many."""

from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence

from observability.logs import get_logger
from service.engine.base import Engine, Inspection, Status, Workload
from service.errors import (
    EngineError,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    NoSuchWorkload,
)
from service.jobs.model import Job
from service.jobs.workload import (
    IDENTIFIER_LABEL,
    KEY_LABEL,
    job_fields,
    job_from_labels,
    launch_id_in,
)
from service.lifecycle.abandoned import AbandonedLaunches
from service.lifecycle.adoption import Adoption
from service.lifecycle.removal import Remover
from service.lifecycle.surplus import SurplusContainers
from service.settings import Settings
from service.state.registry import Registry
from service.support.retry import patiently
from service.support.tasks import Background, side_by_side

log = get_logger(__name__)


class Adopter:
    """Takes over what runs, and stops what must not."""

    def __init__(
        self,
        *,
        engine: Engine,
        remover: Remover,
        registry: Registry,
        adoption: Adoption,
        abandoned: AbandonedLaunches,
        surplus: SurplusContainers,
        background: Background,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._remover = remover
        self._registry = registry
        self._adoption = adoption
        self._abandoned = abandoned
        self._surplus = surplus
        self._background = background
        self._keep = not settings.production

    async def meet(self, workload_id: str, labels: Mapping[str, str]) -> None:
        """Look at one that has turned up, and take it over where it runs and may."""
        if launch_id_in(labels) in self._abandoned:
            self._abandoned.discard(workload_id, labels)
        elif seen := await self._look(workload_id):
            await self._settle(seen)

    async def meet_all(self, workloads: Sequence[Workload]) -> None:
        """Look at many. Of two live ones that may not be two, the newer one is the job.

        Of two of one launch it is the older one: what is run from a snapshot of a job's container
        (`docker commit`) has its labels, too, and is somebody else's.
        """
        newest_first = sorted(workloads, key=lambda each: -each.created_at)
        originals = {launch_id_in(each.labels) or each.id: each for each in newest_first}
        by_identifier: defaultdict[str, list[Workload]] = defaultdict(list)
        for workload in sorted(originals.values(), key=lambda each: -each.created_at):
            by_identifier[workload.labels.get(IDENTIFIER_LABEL, "")].append(workload)
        await side_by_side(self._meet_in_turn, by_identifier.values())

    async def _meet_in_turn(self, workloads: Sequence[Workload]) -> None:
        for workload in workloads:
            await bearing(self.meet(workload.id, workload.labels), **job_fields(workload.labels))

    async def inherit(self, workloads: Sequence[Workload]) -> None:
        """Take over from an earlier run, at the start: what runs, and the ends nobody has seen.

        The end of what was set aside has been told.
        """
        left = {Status.LIVE, Status.UNKNOWN} | (set() if self._keep else {Status.EXITED})
        half_done = [w for w in workloads if w.status is Status.CREATED and KEY_LABEL in w.labels]
        await side_by_side(self._decide, half_done)
        await self.meet_all([w for w in workloads if w.status in left and not w.aside])
        for kept in (w for w in workloads if w.aside or (w.status is Status.EXITED and self._keep)):
            if job := job_from_labels(kept.labels):
                self._registry.keys.remember(job)

    async def _decide(self, workload: Workload) -> None:
        """Whether a launch with a key has happened, which was under way when its supervisor died.

        Its start may still be with the Engine, while its client asks for it again. The Engine
        removes the container, which then cannot start any more, or refuses to, since it runs.
        """
        try:
            await patiently(lambda: self._engine.remove(workload.id))
        except (EngineRefused, EngineTimeout):
            await bearing(self.meet(workload.id, workload.labels), **job_fields(workload.labels))

    async def _look(self, workload_id: str) -> Inspection | None:
        try:
            return await patiently(lambda: self._engine.inspect(workload_id))
        except NoSuchWorkload:
            return None

    async def _settle(self, seen: Inspection) -> None:
        """The end of what was set aside has been told, too."""
        job = job_from_labels(seen.labels)
        if job is None:
            if seen.status is Status.LIVE:
                log.warning("container.unreadable", container_id=seen.id, **job_fields(seen.labels))
            return
        if self._registry.get(job.launch_id):
            return
        if seen.status is Status.EXITED and not self._keep and not seen.aside:
            if seen.started_at:
                self._adoption.close(job, seen)
            else:  # its removal was interrupted before anything had run: no job has ended
                await self._remover.remove(seen.id)
        elif seen.status is Status.LIVE:
            self._take_over(job, seen)

    def _take_over(self, job: Job, seen: Inspection) -> None:
        if seen.id in self._surplus:  # if the stop fails, the next comparison looks again
            return
        other = self._registry.grouped(job.identifier) if job.grouped else None
        if other is None:
            self._adoption.take_over(job, seen)
        elif other.workload_id is None:
            self._background.spawn(self._meet_after(other.launch_id, seen), f"meet {seen.id}")
        else:
            self._surplus.stop(job, seen.id)

    async def _meet_after(self, launch_id: str, seen: Inspection) -> None:
        """Meet a container again after a launch of its identifier, which may find it by itself."""
        await self._registry.wait(launch_id, lambda job: job.workload_id is not None)
        await self.meet(seen.id, seen.labels)


async def bearing(work: Awaitable[None], *, job: str = "", identifier: str = "") -> None:
    """One container that the Engine makes trouble about must not stop all the others."""
    try:
        await work
    except EngineUnavailable:
        raise
    except EngineError as error:
        log.warning("compare.failed", job=job, identifier=identifier, error=error.message)
