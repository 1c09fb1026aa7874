"""Decides about workloads of ours that the registry does not know: adopt, stop or remove them."""

from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from observability.logs import get_logger
from service.engine.base import Engine
from service.engine.workloads import Inspection, Status, Workload
from service.errors import (
    EngineError,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    NoSuchWorkload,
)
from service.jobs.labels import (
    IDENTIFIER_LABEL,
    KEY_LABEL,
    LAUNCH_LABEL,
    is_restartable,
    job_fields,
    job_from_labels,
    launch_id_in,
    restarts_in,
)
from service.jobs.model import Job, State
from service.lifecycle.abandoned_launches import AbandonedLaunches
from service.lifecycle.adoption import Adoption
from service.lifecycle.exit_hints import Recent
from service.lifecycle.removal import Remover
from service.lifecycle.surplus_workloads import SurplusWorkloads
from service.settings import Settings
from service.state.registry import Registry
from service.support.retry import retry
from service.support.tasks import Background, run_concurrently

log = get_logger(__name__)

# For how long the end of a job is remembered (seconds): longer than an inspection takes.
_REMEMBERED = 60.0


@dataclass(kw_only=True, eq=False)
class Adopter:
    """Inspects unknown workloads, and adopts those that are live and may be jobs."""

    engine: Engine
    remover: Remover
    registry: Registry
    adoption: Adoption
    abandoned: AbandonedLaunches
    surplus: SurplusWorkloads
    background: Background
    settings: Settings
    # The numbers of the jobs that have ended, by workload.
    _ended: Recent[int] = field(default_factory=lambda: Recent(_REMEMBERED), init=False)

    def __post_init__(self) -> None:
        self.registry.subscribe(self._note_state)

    def _note_state(self, job: Job) -> None:
        if job.state is State.GONE and job.workload_id is not None:
            self._ended.note(job.workload_id, job.number)

    async def examine(self, workload_id: str, labels: Mapping[str, str]) -> None:
        """Inspect a workload, and adopt, stop or remove it. Raises the `EngineError`s."""
        await self._examine(workload_id, labels, even_replaced=True)

    async def examine_started(self, workload_id: str, labels: Mapping[str, str]) -> None:
        """As `examine`, for a workload that was live a moment ago. It may have ended since then.

        If it has ended and has a successor, its job went on with that one, and is over.
        """
        await self._examine(workload_id, labels, even_replaced=False)

    async def _examine(
        self, workload_id: str, labels: Mapping[str, str], *, even_replaced: bool
    ) -> None:
        if launch_id_in(labels) in self.abandoned:
            self.abandoned.remove(workload_id, labels)
            return
        seen = await self._inspect(workload_id)
        if seen and (even_replaced or not (seen.replaced and seen.status is Status.EXITED)):
            await self._decide(seen)

    async def examine_all(
        self, workloads: Sequence[Workload], *, even_replaced: bool = False
    ) -> None:
        """Examine many. Of two live workloads of one action, the newer one is the job.

        Of two workloads of one launch it is the successor, or else the older one: a workload that
        somebody runs from a snapshot of a job's workload (`docker commit`) has the same labels, and
        is not ours. With `even_replaced` as `examine`, or else as `examine_started`.
        """
        originals_last = sorted(
            workloads, key=lambda each: (restarts_in(each.labels).total, -each.created_at)
        )
        originals = {launch_id_in(each.labels) or each.id: each for each in originals_last}
        by_identifier: defaultdict[str, list[Workload]] = defaultdict(list)
        for workload in sorted(originals.values(), key=lambda each: -each.created_at):
            by_identifier[workload.labels.get(IDENTIFIER_LABEL, "")].append(workload)
        examine = partial(self._examine_one_by_one, even_replaced=even_replaced)
        await run_concurrently(examine, by_identifier.values())

    async def _examine_one_by_one(
        self, workloads: Sequence[Workload], *, even_replaced: bool
    ) -> None:
        for workload in workloads:
            await log_engine_error(
                self._examine(workload.id, workload.labels, even_replaced=even_replaced),
                **job_fields(workload.labels),
            )

    async def adopt_from_earlier_run(self, workloads: Sequence[Workload]) -> None:
        """At the start, adopt what an earlier run has left, and report exits that it has missed.

        Exits of workloads that are set aside have been reported.
        """
        kept = {w.id for w in workloads if w.aside or self._is_kept(w)}
        if not self.engine.capabilities.shared:  # it may be the launch of another supervisor
            await run_concurrently(self._finish_launch, [w for w in workloads if _is_unfinished(w)])
        adopted = (Status.LIVE, Status.UNKNOWN, Status.EXITED)
        left = [w for w in workloads if w.status in adopted and w.id not in kept]
        await self.examine_all(left, even_replaced=True)
        # Not all that runs is a job by now: an inspection may have failed.
        has_run = [w for w in workloads if w.id in kept or w.status is Status.LIVE]
        for workload in (w for w in has_run if w.status is not Status.CREATED):
            if job := job_from_labels(workload.labels):
                self.registry.keys.remember(job)

    def _is_kept(self, workload: Workload) -> bool:
        """Whether it has exited for good, and development keeps it."""
        has_exited = workload.status is Status.EXITED and not self.settings.production
        return has_exited and not is_restartable(workload.labels)

    async def _finish_launch(self, workload: Workload) -> None:
        """Find out whether a launch with a key has happened whose supervisor has died meanwhile.

        The engine may still be starting the workload, while the client sends the request again.
        A removal decides it: either the workload cannot start any more, or the engine refuses
        since it runs.
        """
        try:
            await retry(lambda: self.engine.remove(workload.id))
        except (EngineRefused, EngineTimeout):
            await log_engine_error(
                self.examine(workload.id, workload.labels), **job_fields(workload.labels)
            )

    async def _inspect(self, workload_id: str) -> Inspection | None:
        """A workload as it is since the end of its last job; None if it is gone."""
        while True:
            ended = self._ended.get(workload_id)
            try:
                seen = await retry(lambda: self.engine.inspect(workload_id))
            except NoSuchWorkload:
                return None
            if ended == self._ended.get(workload_id):
                return seen

    async def _decide(self, seen: Inspection) -> None:
        job = job_from_labels(seen.labels)
        if job is None:
            if seen.status is Status.LIVE:
                log.warning("container.unreadable", container_id=seen.id, **job_fields(seen.labels))
            return
        if known := self.registry.get(job.launch_id):
            self._stop_if_left_behind(known, seen)
            return
        # If this stop or removal fails, the next comparison examines it again.
        if seen.id in self.surplus or self.abandoned.removes(seen.id):
            return
        removes = self.settings.production or job.restart is not None
        if seen.status is Status.EXITED and removes and not seen.aside:
            if seen.started_at:
                self._adopt_exited(job, seen)
            elif not self.engine.capabilities.shared:  # likewise
                # Its removal was interrupted, and it has never run: no job has ended.
                await self.remover.remove(seen.id)
                await self._examine_predecessor(job)
        elif seen.status is Status.LIVE:
            self._adopt_or_stop(job, seen)

    def _adopt_exited(self, job: Job, seen: Inspection) -> None:
        """Report an exit, and have the job started again if it may be.

        It may not run beside another job of its identifier. Then the janitor removes the workload.
        """
        other = self._other(job) if job.restart is not None else None
        if other is None:
            self.adoption.adopt_exited(job, seen)
        elif other.workload_id is None:
            self._examine_later(other, seen)

    async def _examine_predecessor(self, job: Job) -> None:
        """Examine the exited workload of a job whose successor has never run."""
        labels = {LAUNCH_LABEL: job.launch_id}
        for workload in await self.engine.find(labels) if job.restarts.total else ():
            await self.examine(workload.id, workload.labels)

    def _stop_if_left_behind(self, job: Job, seen: Inspection) -> None:
        """Stop what a third party has started beside a job's workload.

        That is its predecessor, or one that a failed try of the launch has left and set aside.
        """
        is_another = job.workload_id not in (None, seen.id)
        if (seen.replaced or seen.aside) and is_another and seen.status is Status.LIVE:
            self.surplus.stop(job, seen.id)

    def _adopt_or_stop(self, job: Job, seen: Inspection) -> None:
        """Adopt a live workload, or stop it if its identifier has a job."""
        other = self._other(job)
        if other is None:
            self.adoption.adopt(job, seen)
        elif other.workload_id is None or self.engine.capabilities.shared:
            self._examine_later(other, seen)
        else:
            self.surplus.stop(job, seen.id)

    def _other(self, job: Job) -> Job | None:
        """The job of an action's identifier. Of several: the one that runs, or else the newest."""
        jobs = [j for j in self.registry.of(job.identifier) if j.grouped and job.grouped]
        newest = jobs[-1] if jobs else None
        return next((each for each in jobs if each.runs), newest)

    def _examine_later(self, other: Job, seen: Inspection) -> None:
        name = f"examine {seen.id} after {other.launch_id}"  # once, though each comparison asks
        self.background.spawn_once(lambda: self._examine_after(other.launch_id, seen), name)

    async def _examine_after(self, launch_id: str, seen: Inspection) -> None:
        """Examine a workload again after a launch of its identifier, which may have adopted it.

        If supervisors share the engine, its names are all that keeps an identifier unique: then
        the earlier workload is gone already, and its job is about to be closed.
        """
        shared = self.engine.capabilities.shared
        await self.registry.wait(launch_id, lambda job: job.workload_id is not None and not shared)
        await self.examine_started(seen.id, seen.labels)


def _is_unfinished(workload: Workload) -> bool:
    """Whether a launch with a key was under way when its supervisor died."""
    return workload.status is Status.CREATED and KEY_LABEL in workload.labels


async def log_engine_error(work: Awaitable[None], *, job: str = "", identifier: str = "") -> None:
    """Log the failure of work on one workload: it must not prevent the work on others.

    Raises EngineUnavailable.
    """
    try:
        await work
    except EngineUnavailable:
        raise
    except EngineError as error:
        log.warning("compare.failed", job=job, identifier=identifier, error=error.message)
