"""Reports of failed jobs: they wait in a queue, and go to the backend one after the other.

Each end is reported once at most. A report leaves the queue before it is sent, and whatever may
have arrived is not sent again: only a connection that cannot be made is tried again.
"""

import asyncio
import random
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from observability.logs import get_logger
from observability.metrics import Metrics
from observability.spans import call_span, fail_span, links_to
from service.crash_reports.backend import Backend, BackendAway, Connection, ReportFailed
from service.crash_reports.reason import reason_of
from service.jobs.model import FAILED_OUTCOMES, Job
from service.state.registry import Registry
from service.support.retry import Backoff
from service.support.tasks import Background

log = get_logger(__name__)

# How many reports may wait, and for how long (seconds). Beyond that, the oldest are dropped.
MOST_WAITING = 1000
_LONGEST_WAIT = 3600.0
# Between tries to connect, and after a report that has failed.
_PAUSES = Backoff(1.0, 60.0)
_SPAN = "area_back.AreaBackService/OnError"
_WORK = "crash reports"


@dataclass(frozen=True, slots=True)
class _Report:
    """A failed job, and when it was noted (seconds, monotonic)."""

    job: Job
    noted: float


class CrashReports:
    """The reports that wait, and a task that sends them while there are any."""

    def __init__(
        self,
        backend: Backend,
        registry: Registry,
        background: Background,
        metrics: Metrics,
        *,
        pauses: Backoff = _PAUSES,
        longest_wait: float = _LONGEST_WAIT,
    ) -> None:
        self._backend, self._background, self._metrics = backend, background, metrics
        self._pauses, self._longest_wait = pauses, longest_wait
        self._waiting: deque[_Report] = deque()  # oldest first
        self._stopping = asyncio.Event()
        registry.subscribe(self.note)

    def note(self, job: Job) -> None:
        """Report a job, if it has failed."""
        if job.outcome not in FAILED_OUTCOMES:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._drop_oldest("full")
        self._waiting.append(_Report(job, time.monotonic()))
        self._count_waiting()
        self._background.spawn_once(self._send_all, _WORK)

    async def finish(self, *, within: float) -> None:
        """Send what waits for at most `within` seconds, without waiting for a backend that is away.

        What is left is dropped.
        """
        self._stopping.set()
        if sending := self._background.get(_WORK):
            await asyncio.wait({sending}, timeout=within)
            sending.cancel()
            await asyncio.wait({sending})
        while self._waiting:
            self._drop_oldest("stop")

    async def _send_all(self) -> None:
        """Send while anything waits. Each connection is new, and so is known to work."""
        pauses, away = iter(self._pauses), False
        while self._waiting:
            try:
                async with self._backend.connect() as connection:
                    while self._waiting:
                        await self._send_oldest(connection)
                        pauses, away = iter(self._pauses), False
            except BackendAway as error:
                if self._stopping.is_set():
                    return
                if not away:
                    self._log_away(error)
                away = True
            except ReportFailed:
                pass  # the next one is more likely to succeed later
            else:
                continue
            await self._pause(next(pauses))
            self._drop_old()

    async def _send_oldest(self, connection: Connection) -> None:
        job = self._waiting.popleft().job
        self._count_waiting()
        attributes = {
            "supervisor.job.name": job.name,
            "supervisor.job.identifier": job.identifier,
            "supervisor.job.launch_id": job.launch_id,
        }
        with call_span(_SPAN, attributes, links=links_to(job.traceparent)) as span:
            try:
                await connection.report(job.identifier, reason_of(job))
            except (ReportFailed, asyncio.CancelledError) as error:
                status = error.status if isinstance(error, ReportFailed) else "CANCELLED"
                fail_span(span, status)
                self._metrics.crash_reports.labels("failed").inc()
                log.warning("crash_report.failed", **_fields(job), status=status)
                raise
            self._metrics.crash_reports.labels("sent").inc()
            log.info("crash_report.sent", **_fields(job))

    def _log_away(self, error: BackendAway) -> None:
        log.warning(
            "crash_report.delayed",
            target=self._backend.target,
            error=str(error),
            waiting=len(self._waiting),
        )

    async def _pause(self, seconds: float) -> None:
        """Wait for about so long, or until the process stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds * random.uniform(0.5, 1)):  # noqa: S311 - jitter
                await self._stopping.wait()

    def _drop_old(self) -> None:
        while self._waiting and time.monotonic() - self._waiting[0].noted > self._longest_wait:
            self._drop_oldest("old")

    def _drop_oldest(self, reason: Literal["full", "old", "stop"]) -> None:
        dropped = self._waiting.popleft()
        self._count_waiting()
        self._metrics.crash_reports.labels("dropped").inc()
        log.warning("crash_report.dropped", **_fields(dropped.job), reason=reason)

    def _count_waiting(self) -> None:
        self._metrics.crash_reports_waiting.set(len(self._waiting))


def _fields(job: Job) -> dict[str, str]:
    assert job.outcome is not None
    return {"job": job.name, "identifier": job.identifier, "outcome": job.outcome.value}
