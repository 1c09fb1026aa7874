"""Reads the output of a job: over its restarts, and over lost connections, each line once."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from service.engine.base import Engine
from service.engine.output import Printed
from service.errors import (
    Draining,
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    NoSuchWorkload,
)
from service.jobs.model import Job, State
from service.observe.seen_lines import SeenLines
from service.observe.silence import Silence
from service.state.registry import Registry
from service.support.loop_time import loop_time
from service.support.retry import Backoff

_PAUSES = Backoff(0.2, 5.0)
# How long a follower waits for an engine that is away (seconds).
_MOST_AWAY = 60.0
_AWAY = (EngineUnavailable, EngineTimeout, EngineFailed)
# An engine may not say that the output of an ended job is complete. It counts as complete once
# nothing has come for the first of these times, or after the second one (seconds).
_LAST_OUTPUT, _MOST_LAST_OUTPUT = 1.0, 10.0
_HAS_EXITED = (State.BACKING_OFF, State.EXITED)

T = TypeVar("T")

_END: Any = object()
_TimeLeft = Callable[[], float | None]


class Reading:
    """One reading of the output of a job, from a time on (nanoseconds since the epoch)."""

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        job: Job,
        *,
        since: int,
        follow: bool,
        closing: asyncio.Future[None],
    ) -> None:
        """`closing` is done when all streams have to end."""
        self._engine = engine
        self._registry = registry
        self._job = job
        self._follow = follow
        self._closing = closing
        self._seen = SeenLines(since)
        self._silence = Silence(engine, self._seen)
        self._away_since: float | None = None
        self._is_gone = self._has_output = self._is_behind = False

    @property
    def came_too_late(self) -> bool:
        """Whether the workload was gone before the engine had sent any of its output."""
        return self._is_gone and not self._has_output

    async def lines(self, time_left: _TimeLeft) -> AsyncGenerator[Sequence[Printed], None]:
        """The lines as they come, also earlier ones; none whenever that time is over (seconds).

        Raises the `EngineError`s; if it follows, only after the engine has been away for long, and
        `Draining`.
        """
        pauses = iter(_PAUSES)
        while True:
            live = self._registry.get(self._job.launch_id)
            self._job = live or self._job
            self._is_behind = False
            async with aclosing(self._of_run(time_left, follow=self._follow and bool(live))) as run:
                async for fresh in run:
                    if fresh:
                        pauses = iter(_PAUSES)
                        self._silence.note_output()
                    yield fresh
            if not (self._follow and live):
                return
            if not self._is_behind:
                await self._await_change(live, next(pauses))

    async def _of_run(
        self, time_left: _TimeLeft, *, follow: bool
    ) -> AsyncGenerator[Sequence[Printed], None]:
        if (workload_id := self._job.workload_id) is None:
            return
        found = self._engine.logs(workload_id, follow=follow, since=self._seen.begin(workload_id))
        behind = self._silence.follow(workload_id) if follow else None
        try:
            async with aclosing(self._until_over(found, behind, time_left)) as lines:
                async for each in lines:
                    self._away_since = None
                    self._has_output = self._has_output or bool(each)
                    yield self._seen.fresh(each)
            self._has_output = self._has_output or self._has_started()
        except NoSuchWorkload:  # a successor may follow
            self._is_gone = True
            return
        except _AWAY:
            self._away_since = self._away_since or loop_time()
            if not self._follow or loop_time() - self._away_since > _MOST_AWAY:
                raise

    def _has_started(self) -> bool:
        """A workload that has not started yet has no output."""
        now = self._registry.get(self._job.launch_id)
        return now is None or now.state is not State.STARTING

    async def _until_over(
        self,
        found: AsyncGenerator[Sequence[Printed], None],
        behind: asyncio.Task[bool] | None,
        time_left: _TimeLeft,
    ) -> AsyncGenerator[Sequence[Printed], None]:
        """Pass on the output that is found, until the job has ended and its output is complete.

        Or until the engine has more, and keeps it to itself.
        """
        last_output = _LastOutput(self._registry, self._job, self._closing)
        upcoming: asyncio.Future[Any] | None = None
        try:
            while not last_output.is_over:
                upcoming = upcoming or asyncio.ensure_future(anext(found, _END))
                self._silence.awaited = upcoming
                await last_output.wait(upcoming, time_left(), behind)
                if upcoming.done():
                    item, upcoming = upcoming.result(), None
                    if item is _END:
                        return
                    yield item
                    last_output.note_output()
                elif behind is not None and behind.done():
                    self._is_behind = behind.result()
                    return
                else:
                    yield ()
        finally:
            await _cancel(upcoming, behind)
            await found.aclose()

    async def _await_change(self, job: Job, pause: float) -> None:
        """Wait for another run if this one is over, and otherwise at most for the pause."""
        is_over = job.workload_id is None or job.state in _HAS_EXITED
        limit = None if is_over and not self._away_since else pause
        change = self._registry.wait(job.launch_id, lambda now: _differs(now, job))
        await unless_closing(change, self._closing, limit=limit)


class _LastOutput:
    """Decides whether the output of a job that has ended is complete."""

    def __init__(self, registry: Registry, job: Job, closing: asyncio.Future[None]) -> None:
        live = registry.get(job.launch_id)
        self._gone = registry.when_closed(job.launch_id) if live else None
        self._closing = closing
        self._gone_at: float | None = None
        self._printed_at = 0.0

    @property
    def is_over(self) -> bool:
        """Whether it is known to be complete."""
        if self._gone_at is None:
            return False
        now = loop_time()
        is_quiet = now - max(self._gone_at, self._printed_at) >= _LAST_OUTPUT
        return is_quiet or now - self._gone_at >= _MOST_LAST_OUTPUT

    def note_output(self) -> None:
        """The job has printed something."""
        self._printed_at = loop_time()

    async def wait(
        self,
        upcoming: asyncio.Future[Any],
        timeout: float | None,
        behind: asyncio.Future[Any] | None = None,
    ) -> None:
        """Wait for what comes next, for the end of the job, or for the timeout (seconds).

        `behind` is done if nothing comes, although there is more. Raises `Draining`.
        """
        awaited: set[asyncio.Future[Any]] = {upcoming, self._closing}
        if behind is not None:
            awaited.add(behind)
        if self._gone is not None and self._gone_at is None:
            awaited.add(self._gone)
        elif self._gone_at is not None:
            timeout = min(_LAST_OUTPUT, _LAST_OUTPUT if timeout is None else timeout)
        await asyncio.wait(awaited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        _check_open(self._closing)
        if self._gone is not None and self._gone_at is None and self._gone.done():
            self._gone_at = loop_time()


async def unless_closing(
    work: Coroutine[Any, Any, T], closing: asyncio.Future[None], *, limit: float | None = None
) -> T | None:
    """What the work returns, if that is in time. Raises `Draining` as soon as `closing` is done."""
    task = asyncio.create_task(work)
    try:
        awaited: set[asyncio.Future[Any]] = {task, closing}
        await asyncio.wait(awaited, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
    _check_open(closing)
    return task.result() if task.done() else None


async def _cancel(*futures: asyncio.Future[Any] | None) -> None:
    begun = [each for each in futures if each is not None]
    for each in begun:
        each.cancel()
    await asyncio.gather(*begun, return_exceptions=True)


def _check_open(closing: asyncio.Future[None]) -> None:
    if closing.done():
        raise Draining("the supervisor is stopping, and has ended the stream")


def _differs(now: Job, job: Job) -> bool:
    return (now.workload_id, now.run, now.exits, now.state) != (
        job.workload_id,
        job.run,
        job.exits,
        job.state,
    )
