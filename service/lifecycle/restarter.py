"""Starts jobs again whose workload has exited, once they have waited for as long as they have to.

The exited workload is kept until its successor is there, which the engine makes from it. So what
is to be started again is known from the workloads alone, also after a crash at any moment.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice

from observability.logs import get_logger
from observability.redaction.redactor import Redactor
from service.engine.base import Engine
from service.engine.workloads import Begun, Inspection
from service.errors import (
    Draining,
    EngineError,
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
)
from service.jobs.catalog_secrets import secrets_of
from service.jobs.credentials import auth_in
from service.jobs.labels import labels_of, restart_labels
from service.jobs.model import Job, State
from service.jobs.observations import RestartBegun, RestartFailed, Started
from service.lifecycle.abandoned_launches import AbandonedLaunches
from service.lifecycle.exit_hints import Hint
from service.lifecycle.predecessors import Predecessors
from service.lifecycle.reaper import Reaper
from service.lifecycle.successors import Successors
from service.settings import Settings
from service.state.admission import Admission
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.support.retry import Backoff
from service.support.tasks import Background

log = get_logger(__name__)

# When a restart is tried again that has failed (seconds).
_RETRIES = Backoff(1.0, 30.0)
# After these it is unknown whether there is a successor: the next try looks.
_UNSURE = (EngineUnavailable, EngineTimeout, EngineFailed)
# How often such a successor is looked for while the exited workload runs again: for some minutes.
_LOOKS = 15


@dataclass(kw_only=True, eq=False)
class Restarter:
    """Follows each job that backs off; one task for each."""

    engine: Engine
    reaper: Reaper
    registry: Registry
    readiness: Readiness
    admission: Admission
    abandoned: AbandonedLaunches
    successors: Successors
    predecessors: Predecessors
    background: Background
    settings: Settings

    def __post_init__(self) -> None:
        self.registry.subscribe(self._note_state)

    def _note_state(self, job: Job) -> None:
        if job.state is State.BACKING_OFF:
            name = f"restart {job.launch_id}"
            self.background.spawn_once(lambda: self._follow(job.launch_id), name)
        elif not self.successors.in_doubt(job):
            return
        elif job.state is State.GONE:
            self.successors.settle(job)
            labels = labels_of(job, self.settings.supervisor_instance)
            self.abandoned.add(labels, job.workload_name)
        elif job.runs:  # a third party has started the exited workload
            self.background.spawn_once(lambda: self._look(job), f"successor {job.launch_id}")

    async def _follow(self, launch_id: str) -> None:
        """Until the job runs again, or is not to be started again any more."""
        pauses, refusals = iter(_RETRIES), 0
        while job := await self._waited(launch_id):
            try:
                await self._restart_in_turn(job)
            except Draining:  # the next start of the supervisor knows of it
                return
            except EngineError as error:
                refusals += not isinstance(error, _UNSURE)
                pause = None if self._gives_up(job, refusals) else next(pauses)
                await self._note_failure(job, error, pause)

    async def _waited(self, launch_id: str) -> Job | None:
        """The job, once it has waited; None if it does not back off any more."""
        while job := self._backing_off(launch_id):
            if (left := job.restart_at - time.time()) <= 0:
                return job
            # The clock may have been set meanwhile.
            assert job.restart is not None
            seconds = min(left, job.restart.most + _RETRIES.longest)
            await self.registry.wait_within(launch_id, lambda now: not now.backing_off, seconds)
        return None

    def _backing_off(self, launch_id: str) -> Job | None:
        job = self.registry.get(launch_id)
        return job if job is not None and job.state is State.BACKING_OFF else None

    async def _restart_in_turn(self, job: Job) -> None:
        """Take a slot as a launch does. The job may be killed meanwhile."""
        with self.admission.place_of_restart():
            acquire, release = partial(self.admission.acquire, job), self.admission.release
            await self.readiness.when_ready(acquire, undo=release)
            try:
                if waiting := self._backing_off(job.launch_id):
                    await self._restart(waiting)
            finally:
                release()

    async def _restart(self, job: Job) -> None:
        """Start the successor. Raises the `EngineError`s; the job then has its old workload."""
        began = time.monotonic()
        self.registry.observe(job.launch_id, RestartBegun())
        try:
            found = await self.successors.find(job)
            begun = found or await self._make_successor(job)
        except BaseException:
            self.registry.observe(job.launch_id, RestartFailed(job.restart_at))
            raise
        self._note_restart(job, begun, began=began, made=found is None)

    def _note_restart(self, job: Job, begun: Begun, *, began: float, made: bool) -> None:
        self.successors.settle(job)
        started = Started(begun.id, time.time(), node=begun.node)
        self.registry.observe(job.launch_id, started)
        log.info(
            "job.restarted",
            job=job.name,
            identifier=job.identifier,
            container_id=begun.id,
            attempt=job.restarts.in_window,
            restarts=job.restarts.total,
            seconds=round(time.monotonic() - began, 3),
            **({"node": begun.node} if begun.node else {}),
        )
        if job.workload_id is not None and job.workload_id != begun.id:
            self.predecessors.note(job, job.workload_id)
        work = self._finish(job, begun.id, made=made)
        self.background.spawn(work, f"restarted {job.launch_id}")

    async def _look(self, job: Job) -> None:
        """Let a job go on with its successor, whose exited workload somebody has started again.

        The engine may be late with it.
        """
        has_ended = partial(_has_ended, job)
        for pause in islice(_RETRIES, _LOOKS):
            with suppress(EngineError):  # it is tried again
                if await self._has_given_way(job):
                    return
            if await self.registry.wait_within(job.launch_id, has_ended, pause):
                return

    async def _has_given_way(self, job: Job) -> bool:
        """Whether there is a successor: then it is the job, and the other workload is stopped."""
        began = time.monotonic()
        found = await self.successors.find(job)
        now = self.registry.get(job.launch_id)
        if found is None or now is None or now.ended_here or _has_ended(job, now):
            return False
        self.registry.observe(job.launch_id, RestartBegun())
        self._note_restart(now, found, began=began, made=False)
        return True

    async def _make_successor(self, job: Job) -> Begun:
        assert job.workload_id is not None
        try:
            return await self.engine.start_successor(
                job.workload_id,
                restart_labels(job.restarts),
                redact=_redactor,
                timeout=self.settings.launch_timeout_seconds,
            )
        except _UNSURE:
            self.successors.doubt(job)
            raise

    async def _finish(self, job: Job, workload_id: str, *, made: bool) -> None:
        """Remove the predecessor, and look at a successor that may have exited unseen.

        If it was made just now, the engine was there when it exited, whenever its event arrives.
        """
        if job.workload_id is not None and job.workload_id != workload_id:
            await self.predecessors.remove(job, job.workload_id)
        hint = Hint(witnessed=made and not await self.engine.leaving())
        await self.reaper.reap(job.launch_id, hint, workload_id=workload_id)

    def _gives_up(self, job: Job, refusals: int) -> bool:
        """Whether the engine has refused as often as the job may be started again."""
        assert job.restart is not None
        return job.restarts.in_window + refusals > job.restart.attempts

    async def _note_failure(self, job: Job, error: EngineError, pause: float | None) -> None:
        log.warning(
            "restart.failed",
            job=job.name,
            identifier=job.identifier,
            container_id=job.workload_id,
            attempt=job.restarts.in_window,
            error=error.message,
            **({} if pause is None else {"wait": pause}),
        )
        at = None if pause is None else time.time() + pause
        self.registry.observe(job.launch_id, RestartFailed(at))
        if not isinstance(error, _UNSURE):  # to close it, or since a third party has started it
            with suppress(EngineError):
                await self.reaper.reap(job.launch_id, Hint())


def _redactor(seen: Inspection) -> Redactor:
    """Removes what may be secret of a workload from the engine's messages about its successor."""
    auth = auth_in(seen.arguments, seen.environment)
    given = secrets_of(seen.labels, seen.environment, seen.log_options)
    return Redactor([auth, given])


def _has_ended(job: Job, now: Job) -> bool:
    """Whether a run of a job has ended."""
    return not now.runs or (now.run, now.exits) != (job.run, job.exits)
