"""Answers which jobs there are, live ones and those that have ended, page by page."""

import asyncio
import secrets
from bisect import bisect_right
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import NamedTuple

from observability.escaping import shown
from observability.spans import annotate
from service.access.clients import ALL_JOBS, JobScope
from service.engine.base import Engine
from service.errors import EngineError, EngineUnavailable, InvalidRequest, NoSuchJob
from service.history.history import History
from service.jobs.model import Job
from service.jobs.observations import ImageSeen
from service.jobs.wanted import Wanted
from service.observe.places import Include, Place, Tokens
from service.state.readiness import Readiness
from service.state.registry import Registry

# How many live jobs are filtered in one step of the event loop: it takes a few milliseconds.
_STEP = 2000
# How many ended jobs are read at a time.
_ROWS = 200
# How long to wait for an inspection of a job (seconds).
_INSPECTION = 2.0


class Placed(NamedTuple):
    """A job, and its place in the list."""

    place: Place
    job: Job


class Jobs:
    """All jobs that are known."""

    def __init__(
        self, registry: Registry, readiness: Readiness, engine: Engine, history: History
    ) -> None:
        self._registry, self._readiness = registry, readiness
        self._engine, self._history = engine, history
        self.tokens = Tokens(secrets.token_hex(4))

    async def get(
        self, *, launch_id: str = "", identifier: str = "", scope: JobScope = ALL_JOBS
    ) -> Job:
        """One launch, or the newest of an identifier: a live one, if there is one.

        Raises `InvalidRequest`, `NoSuchJob`, and `EngineUnavailable` before the first listing.
        """
        if not (launch_id or identifier):
            raise InvalidRequest("launch_id, identifier: are empty; one of them is required")
        _annotate(launch_id, identifier)
        if live := self._find_live(launch_id, identifier, scope):
            return await self._with_digest(live)
        if not launch_id:
            self._check_listed()
        if ended := await self._find_ended(launch_id, identifier, scope):
            return ended
        self._check_listed()
        what = f"launch_id: {shown(launch_id)}" if launch_id else f"identifier: {shown(identifier)}"
        raise NoSuchJob(f"{what} is that of no live job, and of none in the history")

    async def each(
        self,
        include: Include,
        wanted: Wanted,
        *,
        after: Place | None = None,
        most: int = _ROWS,
        scope: JobScope = ALL_JOBS,
    ) -> AsyncGenerator[Placed, None]:
        """The jobs that are wanted, after a place: live ones first, then ended ones, newest first.

        `most` is how many the caller is going to take; there may be more.
        Raises `EngineUnavailable` if live ones are asked for before the first listing.
        """
        if include != "ended" and (after is None or after.part == "live"):
            self._check_listed()
            async for placed in self._each_live(wanted, after.number if after else 0, scope):
                yield placed
            after = None
        if include != "live":
            place = after.number if after else None
            async for placed in self._each_ended(wanted, place, min(most, _ROWS), scope):
                yield placed

    def _find_live(self, launch_id: str, identifier: str, scope: JobScope) -> Job | None:
        if launch_id:
            job = self._registry.get(launch_id)
            return job if job and scope.allows(job.name) else None
        jobs = self._registry.of(identifier)
        return next((job for job in reversed(jobs) if scope.allows(job.name)), None)

    async def _find_ended(self, launch_id: str, identifier: str, scope: JobScope) -> Job | None:
        if launch_id:
            return await self._history.find(launch_id=launch_id, scope=scope)
        return await self._history.find(identifier=identifier, scope=scope)

    async def _with_digest(self, job: Job) -> Job:
        """The job, with the digest of its image if that is known by now."""
        if job.image_digest or not job.runs or not self._readiness.ready:
            return job
        assert job.workload_id is not None
        with suppress(EngineError, TimeoutError):
            async with asyncio.timeout(_INSPECTION):
                seen = await self._engine.inspect(job.workload_id, timeout=_INSPECTION)
            image = ImageSeen(seen.id, seen.image_digest)
            return self._registry.observe(job.launch_id, image) or job
        return job

    def _check_listed(self) -> None:
        if not self._readiness.listed:
            raise EngineUnavailable(self._readiness.reason)

    async def _each_live(
        self, wanted: Wanted, after: int, scope: JobScope
    ) -> AsyncGenerator[Placed, None]:
        """In the order in which this process has learned of them."""
        jobs = self._registry.jobs()
        begin = bisect_right(jobs, after, key=lambda job: job.number)
        for step in range(begin, len(jobs), _STEP):
            for job in jobs[step : step + _STEP]:
                if wanted.fits(job) and scope.allows(job.name):
                    yield Placed(Place("live", job.number), job)
            await asyncio.sleep(0)

    async def _each_ended(
        self, wanted: Wanted, before: int | None, rows: int, scope: JobScope
    ) -> AsyncGenerator[Placed, None]:
        while True:
            found = await self._history.page(wanted, before=before, most=rows, scope=scope)
            for position, job in found:
                yield Placed(Place("ended", position), job)
                before = position
            if len(found) < rows:
                return


def _annotate(launch_id: str, identifier: str) -> None:
    if launch_id:
        annotate({"supervisor.job.launch_id": launch_id})
    else:
        annotate({"supervisor.job.identifier": identifier})
