"""Kills jobs, all that are asked for at once: SIGTERM, the grace, SIGKILL, until each is closed."""

import asyncio
import time
from collections.abc import Awaitable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from observability.callers import caller
from observability.logs import get_logger
from observability.metrics import Metrics, trace_exemplar
from observability.spans import wait_span
from service.access.clients import ALL_JOBS, JobScope
from service.engine.base import Engine
from service.engine.workloads import Exit
from service.errors import EngineRefused, LaunchKilled, NoSuchWorkload, SupervisorError
from service.jobs.model import Job
from service.jobs.observations import KillFailed, KillIntended
from service.lifecycle.abandoned_launches import AbandonedLaunches
from service.lifecycle.exit_hints import Hint, Signals
from service.lifecycle.reaper import Reaper
from service.reporting.request_reports import (
    Operation,
    log_failure,
    record_crash,
    record_failure,
)
from service.settings import Settings
from service.state.pending_launches import Launches
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.support.retry import retry
from service.support.tasks import Background, SingleFlight

log = get_logger(__name__)

KillOutcome = Literal["stopped", "forced", "not_running", "failed"]

# 128 + SIGKILL: the exit code of a workload that has ignored SIGTERM.
_SIGKILLED = 137


@dataclass(frozen=True, slots=True)
class _Request:
    """A request to kill jobs."""

    operation: Operation
    scope: JobScope
    jobs: Collection[int]  # their numbers


@dataclass(kw_only=True, eq=False)
class Killer:
    """Kills each job once, however many requests ask for it."""

    engine: Engine
    registry: Registry
    launches: Launches
    reaper: Reaper
    abandoned: AbandonedLaunches
    signals: Signals
    readiness: Readiness
    background: Background
    metrics: Metrics
    settings: Settings
    _kills: SingleFlight[None] = field(default_factory=SingleFlight, init=False)

    async def kill_each(
        self, jobs: Sequence[Job], operation: Operation, scope: JobScope = ALL_JOBS
    ) -> Sequence[tuple[str, SupervisorError]]:
        """Kill jobs concurrently; the failures, by identifier.

        All kills are begun before the first wait. They go on if the request is cancelled.
        """
        request = _Request(operation, scope, {job.number for job in jobs})
        kills = [self._join_or_begin(job, request) for job in jobs]
        results = await asyncio.gather(*kills, return_exceptions=True)
        failures: list[tuple[str, SupervisorError]] = []
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, SupervisorError):
                failures.append((job.identifier, result))
            elif isinstance(result, BaseException):
                raise result
        return failures

    def _join_or_begin(self, job: Job, request: _Request) -> Awaitable[None]:
        return self._join(job, request.operation) or self._begin(job, request)

    def _join(self, job: Job, operation: Operation) -> Awaitable[None] | None:
        """The rest of a kill that another request has begun; None if there is none.

        A kill of an earlier job of that workload ends nothing any more.
        """
        under_way = self._kills.get(str(job.number))
        if under_way is None:
            return None
        if operation == "kill_all":  # its own events report the kills that it has joined
            return asyncio.shield(under_way)
        log.info("kill.joined", job=job.name, identifier=job.identifier, **caller().fields)
        return self._share(under_way, job)

    async def _share(self, kill: "asyncio.Task[None]", job: Job) -> None:
        """Wait for a kill, and log its failure for this request, too. It is counted once."""
        began = time.perf_counter()
        try:
            await asyncio.shield(kill)
        except SupervisorError as error:
            log_failure("kill", job.name, job.identifier, error, began=began)
            raise

    def _begin(self, job: Job, request: _Request) -> Awaitable[None]:
        """Mark the intent at once, so that the exit that follows counts as a kill, and begin.

        The task ends when the job is closed, or raises a `SupervisorError`. It logs and counts
        that, whether or not a request waits for it.
        """
        self.registry.observe(job.launch_id, KillIntended(caller()))
        kill = self._kill(job, request, self.registry.when_closed(job.launch_id))
        return asyncio.shield(self._kills.begin(str(job.number), kill, f"kill {job.launch_id}"))

    async def _kill(self, job: Job, request: _Request, closed: asyncio.Future[Job]) -> None:
        """Kill a job, and then what its launch has found running in place of a workload of its own.

        What is outside the scope of the request is left, and what the request kills by itself.
        """
        await self._stop_and_report(job, request.operation, closed)
        found = self.registry.get(closed.result().found)
        if found is None or found.number in request.jobs:
            return
        if request.scope.allows(found.name):
            await self._join_or_begin(found, request)

    async def _stop_and_report(
        self, job: Job, operation: Operation, closed: asyncio.Future[Job]
    ) -> None:
        began = time.perf_counter()
        outcome: KillOutcome = "failed"
        try:
            outcome = await self._stop(job, closed)
        except SupervisorError as error:
            record_failure(self.metrics, operation, job.name, job.identifier, error, began=began)
            raise
        except Exception:  # noqa: BLE001 - a fault of this program, reported as such
            raise record_crash(self.metrics, operation, job.name, job.identifier) from None
        finally:
            if outcome == "failed":
                self._give_up(job)
            seconds = time.perf_counter() - began
            self.metrics.kills.labels(self.metrics.job_label(job.name), outcome).inc()
            self.metrics.kill_duration.labels(outcome).observe(seconds, trace_exemplar())
        log.info(
            "job.killed",
            operation=operation,
            job=job.name,
            identifier=job.identifier,
            outcome=outcome,
            seconds=round(seconds, 3),
            **caller().fields,
        )

    def _give_up(self, killed: Job) -> None:
        """Take the intent back. If the workload has exited all the same, have the job closed.

        A third party may have started it again as another job, of which this was no kill.
        """
        job = self.registry.get(killed.launch_id)
        if job is not None and job.number == killed.number:
            job = self.registry.observe(job.launch_id, KillFailed())
        if job is None or job.workload_id is None:
            return
        self.signals.note_failed_kill(job.workload_id)
        if job.exit_seen:
            reap = self.reaper.reap(job.launch_id, Hint(witnessed=True))
            self.background.spawn(reap, f"reap {job.launch_id}")

    async def _stop(self, job: Job, closed: asyncio.Future[Job]) -> KillOutcome:
        """Stop the workload, and have the job closed. Ends a launch under way, or waits for it."""
        if closed.done():
            return "not_running"
        what = "the job was killed while its launch waited; nothing was launched"
        self.launches.end(job.launch_id, LaunchKilled(what))
        running = await self._launched(job.launch_id)
        if running is None or running.workload_id is None:
            return "not_running"
        workload_id = running.workload_id
        await self.readiness.wait_for_engine()
        grace = running.grace(self.settings.job_stop_grace_seconds)
        exited = await self._stop_workload(workload_id, closed, grace)
        if not closed.done():
            await self.reaper.reap(job.launch_id, Hint(stopped=exited, witnessed=True))
        if not closed.done():
            raise EngineRefused(f"container {workload_id}: was started again by somebody else")
        await self.abandoned.wait(job.launch_id)  # it may have had a successor already
        killed = closed.result().exit_code == _SIGKILLED and not running.backing_off
        return "forced" if killed else "stopped"

    async def _launched(self, launch_id: str) -> Job | None:
        """The job once it has a workload; None if it is gone."""
        job = self.registry.get(launch_id)
        if job is None or job.workload_id is not None:
            return job
        with wait_span("launch", linked=job.traceparent):
            return await self.registry.wait(launch_id, lambda j: j.workload_id is not None)

    async def _stop_workload(
        self, workload_id: str, closed: asyncio.Future[Job], grace: float
    ) -> Exit | None:
        """Stop a workload; how it has exited, None if it was not live.

        No try is made after its job was closed: a third party may have started it as another job.
        """

        async def stop() -> Exit | None:
            if closed.done():
                return None
            return await self.engine.stop(workload_id, grace=grace)

        with suppress(NoSuchWorkload):  # a third party has removed it
            return await retry(stop)
        return None
