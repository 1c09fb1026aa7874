"""Waits until jobs with `ready = "healthcheck"` are healthy, and ends those that are not in time.

The time counts from the start of the workload, and goes on across a restart of the supervisor. A
wait occupies no slot of the engine.
"""

import asyncio
import time
from dataclasses import dataclass, field

from observability.spans import wait_span
from service.engine.base import Engine
from service.engine.workloads import Health, Inspection, Status
from service.errors import Draining, EngineError, NotReady
from service.jobs.model import Job, Outcome
from service.jobs.observations import KillIntended
from service.lifecycle.exit_hints import Recent
from service.lifecycle.last_lines import probe_lines
from service.lifecycle.live_jobs import note_health
from service.lifecycle.run_ends import RunEnds
from service.reporting.job_reports import log_not_ready
from service.settings import Settings
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.support.retry import Backoff
from service.support.tasks import Background

# The pauses between inspections of a job (seconds): not every engine has events about health.
_LOOKS = Backoff(0.5, 5.0)
# How long a request waits for the end of a job that has not become healthy, beside its grace.
_END_SECONDS = 30.0
# How long the reason for the end of a job is remembered (seconds).
_REMEMBERED = 600.0
# Characters of a probe's output in an error message.
_SHOWN_CHARACTERS = 500


@dataclass(kw_only=True, eq=False)
class HealthWaits:
    """Follows each job whose launch waits for its health; one task for each."""

    engine: Engine
    registry: Registry
    runs: RunEnds
    readiness: Readiness
    background: Background
    settings: Settings
    # By the number of the job: why it was ended. Of its launch, there may be another job later, if
    # somebody starts the workload again.
    _reasons: Recent[str] = field(default_factory=lambda: Recent(_REMEMBERED), init=False)
    _draining: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self.registry.subscribe_to_starts(self._follow_started)
        self.readiness.subscribe(self._note_drain)

    async def until_ready(self, launch_id: str) -> None:
        """Wait until a job is ready; return at once if it is, or does not exist.

        Raises `NotReady` if it has ended, unless on request or with success; and `Draining`.
        """
        job = self.registry.get(launch_id)
        if job is None or not job.awaits_health:
            return
        closed = self.registry.when_closed(launch_id)
        with wait_span("health", linked=job.traceparent):
            ready = await self._decided(job)
        if not ready and closed.done():
            self._check_end(closed.result())
        elif not ready and self._draining.is_set():
            raise Draining("the supervisor is stopping; the job runs, and is not healthy yet")
        elif not ready:
            raise NotReady(self._why_ended(job) or f"{job.identifier}: is not healthy")

    async def _decided(self, job: Job) -> bool:
        """Wait until a job is ready or gone, or the process stops; whether it is ready."""
        assert job.ready_within is not None
        longest = job.ready_within + self._grace(job) + _END_SECONDS
        ready = asyncio.ensure_future(self.registry.wait(job.launch_id, lambda now: now.ready))
        drained = asyncio.ensure_future(self._draining.wait())
        try:
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait((ready, drained), timeout=longest, return_when=first)
            return ready.done() and ready.result() is not None
        finally:
            ready.cancel()
            drained.cancel()

    def _check_end(self, job: Job) -> None:
        """Raise `NotReady` if a job that was not ready has not ended as it should."""
        if reason := self._why_ended(job):
            raise NotReady(reason)
        if job.outcome not in (Outcome.KILLED, Outcome.SUCCESS):
            how = f"{job.outcome.value}, exit code {job.exit_code}" if job.outcome else "gone"
            raise NotReady(f"{job.name}: ended before it was healthy ({how})")

    def _why_ended(self, job: Job) -> str | None:
        return self._reasons.get(str(job.number))

    def _note_drain(self, ready: bool) -> None:
        if not ready and self.readiness.draining:
            self._draining.set()

    def _follow_started(self, job: Job) -> None:
        if job.awaits_health:
            name = f"health {job.launch_id}"
            self.background.spawn_once(lambda: self._follow(job.launch_id), name)

    async def _follow(self, launch_id: str) -> None:
        """Until the job is ready or gone. It may end and run again meanwhile."""
        while job := await self.registry.wait(
            launch_id, lambda now: now.ready or now.awaits_health
        ):
            if job.ready:
                return
            await self._follow_run(job)

    async def _follow_run(self, job: Job) -> None:
        """Look at a run of a job until it is ready or over, and end it when its time is over."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + _left(job)
        for pause in _LOOKS:
            left = deadline - clock()
            seen = await self._look(job)
            if not self._still_waits(job):
                return
            if left <= 0:
                await self._end(job, seen)
                return
            await self.registry.wait_within(
                job.launch_id, lambda now: not _is_same_run(job, now), min(pause, left)
            )

    def _still_waits(self, job: Job) -> bool:
        now = self.registry.get(job.launch_id)
        return now is not None and _is_same_run(job, now)

    async def _look(self, job: Job) -> Inspection | None:
        """Inspect a job. What has ended, or cannot be inspected, is left to events and listings."""
        assert job.workload_id is not None
        try:
            seen = await self.engine.inspect(job.workload_id)
        except EngineError:
            return None
        if seen.status is Status.LIVE:
            note_health(self.registry, job.launch_id, seen)
        return seen

    async def _end(self, job: Job, seen: Inspection | None) -> None:
        reason = _reason(job, seen)
        self._reasons.note(str(job.number), reason)
        log_not_ready(job, reason)
        self.registry.observe(job.launch_id, KillIntended(here=False))
        await self.runs.end(job)

    def _grace(self, job: Job) -> float:
        return job.grace(self.settings.job_stop_grace_seconds)


def _is_same_run(job: Job, now: Job) -> bool:
    """Whether a job still waits for its health, and was not started again."""
    return now.awaits_health and (now.run, now.exits) == (job.run, job.exits)


def _left(job: Job) -> float:
    """How long a job may still take to become healthy (seconds)."""
    assert job.ready_within is not None
    assert job.started_at is not None
    return job.started_at + job.ready_within - time.time()


def _reason(job: Job, seen: Inspection | None) -> str:
    """Why a launch has failed, with what the last probe has said, free of secrets."""
    within = f"{job.name}: was not healthy within ready_timeout ({job.ready_within:g} s)"
    if seen is None or seen.health is Health.UNKNOWN:
        return f"{within}, and the engine does not report what its health check says"
    if seen.probe is None:
        return f"{within}: no probe has ended; the first begins one `interval` after the start"
    said = probe_lines(job, seen)[-_SHOWN_CHARACTERS:] or "nothing"
    return f"{within}: its last probe ended with {seen.probe.exit_code} and said: {said}"
