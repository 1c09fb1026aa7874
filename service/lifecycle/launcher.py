"""One launch on the Engine: its name, the tries while the Engine is away, and what a try left."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from service.engine.base import Engine, Inspection, Status, Workload, WorkloadSpec
from service.engine.names import NameGrammar
from service.errors import (
    EngineError,
    EngineFaltered,
    EngineTimeout,
    EngineUnavailable,
    NameTaken,
    NoSuchWorkload,
)
from service.jobs.model import Job, Kind
from service.jobs.workload import (
    IDENTIFIER_LABEL,
    INSTANCE_LABEL,
    KIND_LABEL,
    LAUNCH_LABEL,
    highest_count,
    job_from_labels,
    launch_id_in,
)
from service.lifecycle.abandoned import AbandonedLaunches
from service.lifecycle.exit_hints import Hint
from service.lifecycle.reaper import Reaper
from service.lifecycle.removal import Remover
from service.lifecycle.surplus import SurplusContainers
from service.settings import Settings
from service.support.retry import patiently
from service.support.tasks import Background

_REMOVAL_POLL = 0.05
# Seconds for which a name that is being freed is worth waiting for.
_NAME_PATIENCE = 5.0
# How long after its deadline a launch is given up whose call has not seen it itself (seconds): a
# call that ends by its own time limit is one that the Engine's metrics and the trace tell of.
_BACKSTOP = 0.5


class StartedWorkload(NamedTuple):
    """What a launch has started."""

    id: str
    name: str  # with what development adds to it


class NameRunsAlready(Exception):
    """The name is held by a live container of ours that the registry does not know."""

    def __init__(self, job: Job, holder: Inspection) -> None:
        super().__init__(holder.id)
        self.job = job
        self.holder = holder


class _Attempts:
    """What the tries of one launch share. Times are those of the event loop."""

    def __init__(self, timeout: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self.deadline = self._clock() + timeout
        self.name = ""  # the same for each, so that what one left is in the way of the next
        self.failure: EngineFaltered | None = None  # of the last try that failed
        self.uncertain = False  # whether a container may be there, or come to be there

    @property
    def now(self) -> float:
        """The time."""
        return self._clock()

    @property
    def left(self) -> float:
        """The seconds until the deadline."""
        return self.deadline - self.now


class Launcher:
    """Starts workloads, and cleans up after those that it could not wait for."""

    def __init__(
        self,
        *,
        engine: Engine,
        remover: Remover,
        reaper: Reaper,
        abandoned: AbandonedLaunches,
        surplus: SurplusContainers,
        background: Background,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._remover = remover
        self._reaper = reaper
        self._abandoned = abandoned
        self._surplus = surplus
        self._background = background
        self._timeout = settings.launch_timeout_seconds
        # What keeps containers keeps their names, too.
        self._count_names = not settings.production

    @property
    def names(self) -> NameGrammar:
        """What workloads may be called on this engine."""
        return self._engine.name_grammar

    @property
    def prepares(self) -> bool:
        """Whether `prepare` has anything to do on this engine."""
        return self._engine.capabilities.prepare is not None

    async def prepare(self, spec: WorkloadSpec) -> None:
        """Fetch what a workload needs before it can start. Raises the `EngineError`s."""
        if prepare := self._engine.capabilities.prepare:
            await patiently(partial(prepare, spec))

    async def start(self, spec: WorkloadSpec) -> StartedWorkload:
        """Start a workload. Raises the `EngineError`s, and `NameRunsAlready`."""
        attempts = _Attempts(self._timeout)
        try:
            workload_id = await patiently(lambda: self._attempt(spec, attempts))
        except (EngineError, NameRunsAlready):
            if attempts.uncertain:
                self._abandoned.add(spec.labels, attempts.name)
            raise
        except BaseException:
            self._abandoned.add(spec.labels, attempts.name)
            raise
        return StartedWorkload(workload_id, attempts.name)

    async def _attempt(self, spec: WorkloadSpec, attempts: "_Attempts") -> str:
        try:
            async with asyncio.timeout_at(attempts.deadline + _BACKSTOP):
                attempts.name = attempts.name or await self._name(spec)
                return await self._start_when_free(replace(spec, name=attempts.name), attempts)
        except TimeoutError:
            attempts.uncertain = True
            raise EngineTimeout(
                f"the {self._engine.title} took too long to start {attempts.name or spec.name}"
            ) from None
        except (EngineTimeout, EngineUnavailable, EngineFaltered) as error:
            attempts.uncertain = True
            if isinstance(error, EngineFaltered):
                attempts.failure = error
            raise
        except NameTaken as error:
            if attempts.failure is not None and error.holder is None:  # it is what that has left
                raise attempts.failure from None
            raise

    async def _name(self, spec: WorkloadSpec) -> str:
        """In development, the name with a count that goes on from the highest there is.

        But for one that may still come to run, as what was given up may: its name is used again,
        so that the Engine has one of the two at most.
        """
        if not self._count_names:
            return spec.name
        listed = await self._engine.list()
        await self._check_alone(spec, listed)
        doubtful = [w.name for w in listed if self._may_come_to_run(w)]
        count = highest_count(doubtful, spec.name)
        return f"{spec.name}-{count or highest_count(await self._engine.names(), spec.name) + 1}"

    async def _check_alone(self, spec: WorkloadSpec, listed: Sequence[Workload]) -> None:
        """Raise `NameRunsAlready` where an action runs that the registry does not know.

        With a name of its own it would be in nobody's way. A listing may be older than an exit.
        """
        for workload in listed:
            live = workload.status in (Status.LIVE, Status.UNKNOWN)
            if live and self._is_rival(spec.labels, workload.labels):
                await self._surplus.wait(workload.id)
                with suppress(NoSuchWorkload):
                    seen = await self._engine.inspect(workload.id)
                    job = job_from_labels(seen.labels)
                    if job is not None and seen.status is Status.LIVE:
                        raise NameRunsAlready(job, seen)

    def _is_rival(self, ours: Mapping[str, str], its: Mapping[str, str]) -> bool:
        """Whether a live container is of the same action; what was given up is removed anyway."""
        same = all(ours[label] == its.get(label) for label in (IDENTIFIER_LABEL, KIND_LABEL))
        grouped = ours[KIND_LABEL] == Kind.ACTION
        other = launch_id_in(ours) != launch_id_in(its)
        return same and grouped and other and launch_id_in(its) not in self._abandoned

    def _may_come_to_run(self, workload: Workload) -> bool:
        return workload.status is Status.CREATED or launch_id_in(workload.labels) in self._abandoned

    async def _start_when_free(self, spec: WorkloadSpec, attempts: "_Attempts") -> str:
        patience: float | None = None  # from the first answer: a busy Engine gives it late
        while attempts.left > 0:
            try:
                return await self._engine.start(spec, timeout=attempts.left)
            except NameTaken as error:
                patience = patience or attempts.now + _NAME_PATIENCE
                if error.holder is None or attempts.now >= patience:
                    raise
                if await self._clear(spec, error.holder):
                    return error.holder
                await asyncio.sleep(_REMOVAL_POLL)
        raise TimeoutError

    async def _clear(self, spec: WorkloadSpec, holder_id: str) -> bool:
        """Clear the name, where its holder is ours; wait where it is on its way out.

        True where the holder is what was to be started: an earlier try has done it after all.
        Raises `NameTaken` where it is a stranger's, and `NameRunsAlready`.
        """
        await self._surplus.wait(holder_id)
        try:
            holder = await self._engine.inspect(holder_id)
        except NoSuchWorkload:
            return False
        if holder.status is Status.REMOVING:
            return False
        job = job_from_labels(holder.labels)
        if job is None or holder.labels.get(INSTANCE_LABEL) != spec.labels[INSTANCE_LABEL]:
            raise NameTaken(
                f"the container name {spec.name!r} is held by a container that the supervisor"
                " did not launch; rename or remove that one",
                holder.id,
            )
        if job.launch_id == spec.labels[LAUNCH_LABEL] and _has_done_it(job, holder):
            # Nobody can tell whether an Engine that was away has ended it.
            look = self._reaper.reap(job.launch_id, Hint())
            self._background.spawn(look, f"reap {job.launch_id}")
            return True
        await self._remove_own(spec, job, holder)
        return False

    async def _remove_own(self, spec: WorkloadSpec, job: Job, holder: Inspection) -> None:
        """Clear away what an earlier try left. Only a live one may be somebody's job."""
        ours = spec.labels[LAUNCH_LABEL]
        left_over = job.launch_id == ours or job.launch_id in self._abandoned
        if holder.status is Status.LIVE and not left_over:
            if job.identifier != spec.labels[IDENTIFIER_LABEL]:  # somebody has renamed it
                raise NameTaken(f"the container's name is taken: {spec.name} runs another job")
            raise NameRunsAlready(job, holder)
        await self._remover.remove(holder.id, force=left_over)


def _has_done_it(job: Job, holder: Inspection) -> bool:
    """Whether a container runs, or has run and must not do its work twice.

    Any other action is there to go on: one that a dying Engine has taken along starts anew.
    """
    once = job.ends or not job.grouped
    has_run = holder.status is Status.EXITED and holder.started_at > 0
    return holder.status is Status.LIVE or (once and has_run)
