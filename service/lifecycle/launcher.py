"""Starts the workload of a launch: its name, also while that is held; what a failed try left."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from service.engine.base import Engine
from service.engine.workload_spec import WorkloadSpec
from service.engine.workloads import Begun, Inspection, Status, Workload
from service.errors import (
    EngineError,
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    NameTaken,
    NoSuchWorkload,
)
from service.jobs.labels import (
    IDENTIFIER_LABEL,
    INSTANCE_LABEL,
    KIND_LABEL,
    LAUNCH_LABEL,
    job_from_labels,
    launch_id_in,
)
from service.jobs.model import Job, Kind
from service.jobs.workload_names import highest_count
from service.lifecycle.abandoned_launches import AbandonedLaunches
from service.lifecycle.adoption import Adoption
from service.lifecycle.exit_hints import Hint
from service.lifecycle.reaper import Reaper
from service.lifecycle.removal import Remover
from service.lifecycle.surplus_workloads import SurplusWorkloads
from service.settings import Settings
from service.state.registry import Registry
from service.support.retry import retry
from service.support.tasks import Background

# Seconds: between two tries to take a name that is being freed, and for how long to try.
_NAME_POLL, _NAME_SECONDS = 0.05, 5.0
# How long after its deadline a launch is given up if its call has not timed out by itself
# (seconds). A call that times out is in the engine's metrics and in the trace.
_BACKSTOP = 0.5


class StartedWorkload(NamedTuple):
    """The workload that a launch has started."""

    id: str
    name: str  # with the count that development adds
    node: str  # see `Begun`


class RunsAlready(Exception):
    """A live workload of this identifier that the registry does not know: it is the job."""

    def __init__(self, job: Job, workload: Inspection) -> None:
        super().__init__(workload.id)
        self.job = job
        self.workload = workload


class _Attempts:
    """What the tries of one launch share. Times are those of the event loop."""

    def __init__(self, timeout: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self.deadline = self._clock() + timeout
        self.name = ""  # the same for all, so that each try finds what the last one has left
        self.failure: EngineFailed | None = None  # of the last try that failed
        self.uncertain = False  # whether there is a workload, or may be one soon

    @property
    def now(self) -> float:
        """The time."""
        return self._clock()

    @property
    def left(self) -> float:
        """The seconds until the deadline."""
        return self.deadline - self.now


@dataclass(kw_only=True, eq=False)
class Launcher:
    """Starts workloads, and removes those that it could not wait for."""

    engine: Engine
    remover: Remover
    reaper: Reaper
    registry: Registry
    adoption: Adoption
    abandoned: AbandonedLaunches
    surplus: SurplusWorkloads
    background: Background
    settings: Settings

    async def start(self, spec: WorkloadSpec) -> StartedWorkload:
        """Start a workload. Raises the `EngineError`s, and `RunsAlready`."""
        attempts = _Attempts(self.settings.launch_timeout_seconds)
        try:
            begun = await retry(lambda: self._attempt(spec, attempts))
        except (EngineError, RunsAlready):
            if attempts.uncertain:
                self.abandoned.add(spec.labels, attempts.name)
            raise
        except BaseException:
            self.abandoned.add(spec.labels, attempts.name)
            raise
        if attempts.uncertain:
            self.abandoned.remove_others(begun.id, spec.labels[LAUNCH_LABEL])
        return StartedWorkload(begun.id, attempts.name, begun.node)

    async def _attempt(self, spec: WorkloadSpec, attempts: "_Attempts") -> Begun:
        try:
            async with asyncio.timeout_at(attempts.deadline + _BACKSTOP):
                attempts.name = attempts.name or await self._name(spec)
                return await self._start_when_free(replace(spec, name=attempts.name), attempts)
        except TimeoutError:
            attempts.uncertain = True
            raise EngineTimeout(
                f"the {self.engine.title} took too long to start {attempts.name or spec.name}"
            ) from None
        except (EngineTimeout, EngineUnavailable, EngineFailed) as error:
            attempts.uncertain = True
            if isinstance(error, EngineFailed):
                attempts.failure = error
            raise
        except NameTaken as error:
            if attempts.failure is not None and error.holder is None:  # by what that try has left
                raise attempts.failure from None
            raise

    async def _name(self, spec: WorkloadSpec) -> str:
        """The name; in development with the next count.

        A workload that may still come to run keeps its count: with the same name, the engine runs
        at most one of the two.
        """
        if self.settings.production:
            return spec.name
        listed = await self.engine.list()
        await self._check_alone(spec, listed)
        doubtful = [w.name for w in listed if self._may_come_to_run(w)]
        count = highest_count(doubtful, spec.name)
        return f"{spec.name}-{count or highest_count(await self.engine.names(), spec.name) + 1}"

    async def _check_alone(self, spec: WorkloadSpec, listed: Sequence[Workload]) -> None:
        """Raise `RunsAlready` if a workload of this action is live: counted names do not collide.

        The listing may be older than an exit, so the workload is inspected.
        """
        for workload in listed:
            live = workload.status in (Status.LIVE, Status.UNKNOWN)
            if live and self._is_rival(spec.labels, workload.labels):
                await self.surplus.wait(workload.id)
                await self.abandoned.wait(launch_id_in(workload.labels))
                with suppress(NoSuchWorkload):
                    seen = await self.engine.inspect(workload.id)
                    job = job_from_labels(seen.labels)
                    if job is not None and seen.status is Status.LIVE:
                        raise RunsAlready(job, seen)

    def _is_rival(self, ours: Mapping[str, str], its: Mapping[str, str]) -> bool:
        """Whether the labels are of another job of the same action that was not given up."""
        same = all(ours[label] == its.get(label) for label in (IDENTIFIER_LABEL, KIND_LABEL))
        grouped = ours[KIND_LABEL] == Kind.ACTION
        other = launch_id_in(ours) != launch_id_in(its)
        return same and grouped and other and launch_id_in(its) not in self.abandoned

    def _may_come_to_run(self, workload: Workload) -> bool:
        return workload.status is Status.CREATED or launch_id_in(workload.labels) in self.abandoned

    async def _start_when_free(self, spec: WorkloadSpec, attempts: "_Attempts") -> Begun:
        give_up_at, holder = 0.0, None  # from its first answer on: a busy engine gives it late
        while attempts.left > 0:
            try:
                return await self.engine.start(spec, timeout=attempts.left)
            except NameTaken as error:
                if holder is None or holder != error.holder:
                    give_up_at, holder = attempts.now + _NAME_SECONDS, error.holder
                if error.holder is None or attempts.now >= give_up_at:
                    raise
                if own := await self._free_name(spec, error.holder):
                    return own
                await asyncio.sleep(_NAME_POLL)
        raise TimeoutError

    async def _free_name(self, spec: WorkloadSpec, holder_id: str) -> Begun | None:
        """Remove the holder of a name if it is ours. Nothing if it is being removed.

        Return it if it is the workload itself: an earlier try has started it after all. Raises
        `NameTaken` if it is somebody else's, and `RunsAlready`.
        """
        await self.surplus.wait(holder_id)
        try:
            holder = await self.engine.inspect(holder_id)
        except NoSuchWorkload:
            return None
        stopping = holder.stopping and holder.status is Status.LIVE
        if holder.status is Status.REMOVING or stopping:
            return None
        job = job_from_labels(holder.labels)
        if job is None or holder.labels.get(INSTANCE_LABEL) != spec.labels[INSTANCE_LABEL]:
            raise NameTaken(
                f"the container name {spec.name!r} is held by a container that the supervisor"
                " did not launch; rename or remove that one",
                holder.id,
            )
        if job.launch_id == spec.labels[LAUNCH_LABEL] and _is_done(job, holder):
            # If it has exited, an engine that was away may have ended it.
            reap = self.reaper.reap(job.launch_id, Hint())
            self.background.spawn(reap, f"reap {job.launch_id}")
            return Begun(holder.id, holder.node)
        await self._remove_holder(spec, job, holder)
        return None

    async def _remove_holder(self, spec: WorkloadSpec, job: Job, holder: Inspection) -> None:
        """Remove a workload of ours, unless it is live and may be a job."""
        ours = spec.labels[LAUNCH_LABEL]
        left_over = job.launch_id == ours or job.launch_id in self.abandoned
        live = holder.status is Status.LIVE and not left_over
        another = job.identifier != spec.labels[IDENTIFIER_LABEL]  # a third party has renamed it
        if another and (live or self._may_run_again(job, holder)):
            raise NameTaken(f"the container's name is taken: {spec.name} is another job's")
        if live:
            raise RunsAlready(job, holder)
        if self.engine.capabilities.shared and holder.started_at and not left_over:
            await self.adoption.close_exited(job, holder)
        else:
            await self.remover.remove(holder.id, force=left_over)

    def _may_run_again(self, job: Job, holder: Inspection) -> bool:
        """Whether a workload has exited whose job is not over, and may be started again."""
        known = self.registry.get(job.launch_id)
        if job.restart is None or known is None:
            return False
        return holder.id in (known.workload_id, known.predecessor)


def _is_done(job: Job, holder: Inspection) -> bool:
    """Whether a workload is live, or has run and must not do its work twice.

    Any other action starts anew: it was meant to go on, and a dying engine has ended it.
    """
    once = job.ends or not job.grouped
    has_run = holder.status is Status.EXITED and holder.started_at > 0
    return holder.status is Status.LIVE or (once and has_run)
