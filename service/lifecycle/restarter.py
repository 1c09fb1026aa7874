"""Starts jobs again whose workload has exited, once they have waited for as long as they have to.

The exited workload is kept until its successor is there, which the engine makes from it. So what
is to be started again is known from the workloads alone, also after a crash at any moment.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from observability.logs import get_logger
from observability.redaction.redactor import Redactor
from service.engine.base import Engine
from service.engine.workloads import Begun, Inspection, Status, Workload
from service.errors import (
    Draining,
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    NoSuchWorkload,
)
from service.jobs.catalog_secrets import secrets_of
from service.jobs.credentials import auth_in
from service.jobs.labels import (
    INSTANCE_LABEL,
    LAUNCH_LABEL,
    RESTARTS_LABEL,
    labels_of,
    restart_labels,
    restarts_in,
)
from service.jobs.model import Job, State
from service.jobs.observations import RestartBegun, RestartFailed, Started
from service.lifecycle.abandoned_launches import AbandonedLaunches
from service.lifecycle.exit_hints import Hint
from service.lifecycle.reaper import Reaper
from service.lifecycle.removal import Remover
from service.lifecycle.surplus_workloads import SurplusWorkloads
from service.settings import Settings
from service.state.admission import Admission
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.support.retry import Backoff
from service.support.tasks import Background

log = get_logger(__name__)

# When a restart is tried again that has failed (seconds).
_RETRIES = Backoff(1.0, 30.0)
# After these, nobody knows whether there is a successor: the next try looks.
_UNSURE = (EngineUnavailable, EngineTimeout, EngineFailed)


@dataclass(kw_only=True, eq=False)
class Restarter:
    """Follows each job that backs off; one task for each."""

    engine: Engine
    remover: Remover
    reaper: Reaper
    registry: Registry
    readiness: Readiness
    admission: Admission
    abandoned: AbandonedLaunches
    surplus: SurplusWorkloads
    background: Background
    settings: Settings
    # Launch ids of jobs that may have a successor without this process knowing.
    _unsure: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.registry.subscribe(self._note_state)

    def _note_state(self, job: Job) -> None:
        if job.state is State.BACKING_OFF:
            name = f"restart {job.launch_id}"
            self.background.spawn_once(lambda: self._follow(job.launch_id), name)
        elif job.state is State.GONE and job.launch_id in self._unsure:
            self._unsure.discard(job.launch_id)
            labels = labels_of(job, self.settings.supervisor_instance)
            self.abandoned.add(labels, job.workload_name)

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
            found = await self._find_successor(job)
            begun = found or await self._make_successor(job)
        except BaseException:
            self.registry.observe(job.launch_id, RestartFailed(job.restart_at))
            raise
        self._unsure.discard(job.launch_id)
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
        work = self._finish(job, begun.id, made=found is None)
        self.background.spawn(work, f"restarted {job.launch_id}")

    async def _make_successor(self, job: Job) -> Begun:
        assert job.workload_id is not None
        seen = await self.engine.inspect(job.workload_id)
        try:
            return await self.engine.start_successor(
                job.workload_id,
                restart_labels(job.restarts),
                redact=_redactor(seen),
                timeout=self.settings.launch_timeout_seconds,
            )
        except _UNSURE:
            self._unsure.add(job.launch_id)
            raise

    async def _find_successor(self, job: Job) -> Begun | None:
        """What an earlier try has started, or an earlier process. What never ran is removed."""
        instance = self.settings.supervisor_instance
        labels = {INSTANCE_LABEL: instance, LAUNCH_LABEL: job.launch_id}
        found = None
        for workload in await self.engine.find(labels):
            if workload.id != job.workload_id and _is_successor(job, workload):
                if await self._has_run(workload):
                    found = Begun(workload.id, workload.node)
                else:
                    await self.engine.remove(workload.id, force=True)
        return found

    async def _has_run(self, workload: Workload) -> bool:
        if workload.status is Status.LIVE:
            return True
        try:
            return (await self.engine.inspect(workload.id)).started_at > 0
        except NoSuchWorkload:
            return False

    async def _finish(self, job: Job, workload_id: str, *, made: bool) -> None:
        """Remove the predecessor, and look at a successor that may have exited unseen.

        If it was made just now, the engine was there when it exited, whenever its event arrives.
        """
        if job.workload_id is not None and job.workload_id != workload_id:
            await self._remove_predecessor(job, job.workload_id)
        hint = Hint(witnessed=made and not await self.engine.leaving())
        await self.reaper.reap(job.launch_id, hint, workload_id=workload_id)

    async def _remove_predecessor(self, job: Job, workload_id: str) -> None:
        try:
            await self.remover.remove(workload_id)
        except EngineRefused:  # a third party has started it meanwhile
            self.surplus.stop(job, workload_id)

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


def _is_successor(job: Job, workload: Workload) -> bool:
    """Whether a workload has the labels of the restart that is due."""
    return (
        RESTARTS_LABEL in workload.labels
        and restarts_in(workload.labels).total >= job.restarts.total
    )
