"""The last day in figures: launches, failures and running jobs, for those without Prometheus.

The console shows only what the API says, so the figures are counted from the pages of ListJobs.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from service._generated.supervisor.v1.observer_pb2 import (
    Job,
    ListJobsRequest,
    ListJobsResponse,
)
from service.access.clients import JobScope
from service.console.calls import call
from service.jobs.model import FAILED_OUTCOMES

_STEPS, _STEP = 48, 1800  # half hours (seconds)
_PAGE = 1000
# The history may have a hundred thousand jobs of this day. The most pages that are read, and the
# pause after each, in which launches go on (seconds).
_MOST_PAGES, _PAUSE = 100, 0.02
# How long figures are used again (seconds): a day takes a second to read.
_FRESH = 60.0

ListJobs = Callable[[ListJobsRequest, Any], Awaitable[ListJobsResponse]]


class Day:
    """The figures of the jobs that a client may see: once for all clients that see the same."""

    def __init__(self, list_jobs: ListJobs) -> None:
        self._list_jobs = list_jobs
        self._lock = asyncio.Lock()
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}  # by patterns, with its age

    async def figures(self, jobs: JobScope) -> dict[str, Any]:
        """Half hours since `begun`, oldest first. Raises `CallFailed`."""
        key = repr(jobs.patterns)  # unlike `str`, unambiguous: a job may be called "all jobs"
        async with self._lock:  # pages that open at once read the history once
            made, figures = self._kept.get(key, (0.0, {}))
            if not figures or time.monotonic() - made > _FRESH:
                figures = await self._read()
                self._kept[key] = time.monotonic(), figures
        return figures

    async def _read(self) -> dict[str, Any]:
        counts = _Counts(time.time())
        token, pages = "", 0
        while pages == 0 or (token and pages < _MOST_PAGES):
            asked = ListJobsRequest(include="both", page_size=_PAGE, page_token=token)
            answer = await call(self._list_jobs, asked)
            if counts.add(answer.jobs):
                return counts.figures(complete=True)
            token, pages = answer.next_page_token, pages + 1
            await asyncio.sleep(_PAUSE)
        return counts.figures(complete=not token)


class _Counts:
    def __init__(self, now: float) -> None:
        self._begun = now - _STEPS * _STEP
        self._launches, self._failures = [0] * _STEPS, [0] * _STEPS
        self._changes = [0] * _STEPS  # of the number of running jobs

    def add(self, jobs: Iterable[Job]) -> bool:
        """Count jobs, newest ends first; True once one has ended before this day."""
        for job in jobs:
            if job.HasField("ended") and job.ended.seconds < self._begun:
                return True
            self._count(job)
        return False

    def _count(self, job: Job) -> None:
        created = self._step(job.created.seconds)
        if created >= 0:
            self._launches[created] += 1
        ended = self._step(job.ended.seconds) if job.HasField("ended") else None
        if ended is not None and job.outcome in FAILED_OUTCOMES:
            self._failures[ended] += 1
        self._changes[max(0, created)] += 1
        if ended is not None:
            self._changes[ended] -= 1

    def _step(self, at: float) -> int:
        return min(_STEPS - 1, int((at - self._begun) // _STEP))

    def figures(self, *, complete: bool) -> dict[str, Any]:
        running, number = [], 0
        for change in self._changes:
            number += change
            running.append(number)
        return {
            "begun": int(self._begun),
            "step": _STEP,
            "launches": self._launches,
            "failures": self._failures,
            "running": running,
            "complete": complete,
        }
