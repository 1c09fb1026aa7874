"""The output of a job without its secrets: a live job's as it comes, an ended job's as kept."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

from observability.redaction.redactor import Redactor
from service.engine.base import Engine
from service.engine.output import UNREADABLE_LOG, Printed
from service.engine.workloads import Inspection
from service.errors import Draining, EngineRefused, LimitReached, NoSuchWorkload, NotPossible
from service.jobs.model import Job
from service.lifecycle.output_redaction import LEFT_OUT, output_redactor
from service.observe.reading import Reading, unless_closing
from service.observe.scrubbing import Scrubber
from service.state.registry import Registry

MOST_STREAMS = 100
MOST_TAIL = 100_000
# Reading begins this much before the first line to show (nanoseconds), so that a secret of several
# lines is found even if its beginning is not shown.
_BEFORE = 5 * 10**9
# All streams together take at most half of the event loop's time, and this much at once (seconds).
_WORK = 0.005
# How long to wait for the end of a job whose workload is gone (seconds).
_END = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsWanted:
    """The part of an output that is wanted. `since` is in nanoseconds since the epoch."""

    follow: bool = False
    tail: int | None = None
    since: int = 0


@dataclass(slots=True)
class _First:
    """The first line to show: one of a time (nanoseconds since the epoch), or of a later one."""

    at: int
    skip: int = 0  # so many whole lines of that time come before it

    def of(self, lines: Sequence[Printed]) -> Sequence[Printed]:
        """The lines to show. What a part of a line has left for the next one is no line."""
        return [line for line in lines if self._reached_by(line) and (line.text or line.ends)]

    def _reached_by(self, line: Printed) -> bool:
        if line.at != self.at or not self.skip:
            return line.at >= self.at
        self.skip -= line.ends
        return False


class JobLogs:
    """Streams the output of jobs. A stream needs no thread; it waits if its client is slow."""

    def __init__(self, engine: Engine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry
        self._open = 0
        self._turn = asyncio.Lock()
        self._closed = False

    def close(self) -> None:
        """End all streams, with `Draining`."""
        self._closed = True
        if not self._closing.done():
            self._closing.set_result(None)

    @cached_property
    def _closing(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    async def stream(self, job: Job, wanted: LogsWanted) -> AsyncGenerator[Sequence[Printed], None]:
        """The lines of a job, some at a time.

        Raises `LimitReached`, `NotPossible` if they cannot be read or shown, `Draining`, and the
        `EngineError`s.
        """
        if self._closed:
            raise Draining("the supervisor is stopping")
        if self._open >= MOST_STREAMS:
            raise LimitReached(f"StreamLogs: {MOST_STREAMS} streams are open, which is the limit")
        self._open += 1
        try:
            async with aclosing(self._stream(job, wanted)) as found:
                async for lines in found:
                    yield lines
        finally:
            self._open -= 1

    async def _stream(
        self, job: Job, wanted: LogsWanted
    ) -> AsyncGenerator[Sequence[Printed], None]:
        job = await self._with_workload(job, wanted)
        if job.workload_id is None and self._registry.get(job.launch_id):
            return
        seen = await self._inspection(job)
        if seen is None:
            yield _kept(await self._ended(job), wanted)
            return
        redact = await output_redactor(self._engine, job, seen)
        if redact is None:
            raise NotPossible(f"job {job.launch_id}: {LEFT_OUT}")
        with _explained(job, seen):
            async with aclosing(self._lines(job, wanted, redact)) as found:
                async for lines in found:
                    yield lines

    async def _lines(
        self, job: Job, wanted: LogsWanted, redact: Redactor
    ) -> AsyncGenerator[Sequence[Printed], None]:
        first = await self._first(job, wanted)
        since = max(0, first.at - _BEFORE)
        reading = Reading(
            self._engine,
            self._registry,
            job,
            since=since,
            follow=wanted.follow,
            closing=self._closing,
        )
        scrubber = Scrubber(redact)
        async with aclosing(reading.lines(lambda: scrubber.time_left)) as found:
            async for lines in found:
                await self._scrub(scrubber, lines)
                if shown := first.of(scrubber.take()):
                    yield shown
        if shown := first.of(scrubber.rest()):
            yield shown
        if reading.came_too_late:
            yield _kept(await self._ended(job), wanted)

    async def _with_workload(self, job: Job, wanted: LogsWanted) -> Job:
        """The job, once it has a workload, if it is to be followed. Raises `Draining`."""
        if job.workload_id is None and wanted.follow:
            begun = self._registry.wait(job.launch_id, lambda now: now.workload_id is not None)
            return await unless_closing(begun, self._closing) or job
        return job

    async def _inspection(self, job: Job) -> Inspection | None:
        """An inspection of its workload; None if that is gone."""
        if job.workload_id is None:
            return None
        with suppress(NoSuchWorkload):
            return await self._engine.inspect(job.workload_id)
        return None

    async def _ended(self, job: Job) -> Job:
        """The job as it has ended."""
        if self._registry.get(job.launch_id) is None:
            return job
        with suppress(TimeoutError):
            async with asyncio.timeout(_END):
                return await asyncio.shield(self._registry.when_closed(job.launch_id))
        return job

    async def _first(self, job: Job, wanted: LogsWanted) -> _First:
        """Where that begins which is wanted.

        The line before the last ones is asked for as well: Podman gives times in seconds, so the
        time of the first line to show may be that of earlier ones.
        """
        if wanted.tail is None or job.workload_id is None:
            return _First(wanted.since)
        number = wanted.tail + 1
        times = await self._last_times(job.workload_id, number)
        if len(times) < number:
            return _First(wanted.since)
        before, *shown = times[-number:]
        if before < wanted.since or before not in shown:
            return _First(max(wanted.since, before + 1))
        all_at_once, _ = await self._times(job.workload_id, since=before - 1)
        earlier = all_at_once.count(before) - shown.count(before)
        return _First(before, skip=max(0, earlier))  # lines may have been rotated away meanwhile

    async def _last_times(self, workload_id: str, number: int) -> Sequence[int]:
        """The times of the last whole lines, or of all of them if there are fewer.

        Docker counts each 16 KiB of a long line as one: only if twice as many bring nothing new,
        there are no more.
        """
        asked, before = number, -1
        while True:
            times, size = await self._times(workload_id, tail=asked)
            if len(times) >= number or size == before:
                return times
            asked, before = asked * 2, size

    async def _times(
        self, workload_id: str, *, tail: int | None = None, since: int = 0
    ) -> tuple[Sequence[int], int]:
        """The times of whole lines, in their order, and the size of all that was read."""
        times, size = [], 0
        async for lines in self._engine.logs(workload_id, tail=tail, since=since):
            size += sum(len(line.text) + 1 for line in lines)
            times += [line.at for line in lines if line.ends]
        return sorted(times), size

    async def _scrub(self, scrubber: Scrubber, lines: Sequence[Printed]) -> None:
        async with self._turn:
            began = time.perf_counter()
            for line in lines:
                scrubber.add(line)
                if (worked := time.perf_counter() - began) > _WORK:
                    await asyncio.sleep(worked)
                    began = time.perf_counter()


def _kept(job: Job, wanted: LogsWanted) -> Sequence[Printed]:
    """The lines that the history has kept. Raises `NotPossible` if there are none."""
    lines = job.last_lines.splitlines()
    if not lines:
        raise NotPossible(
            f"job {job.launch_id}: its output is gone with its container. Only of a job that has"
            " failed the last lines are kept; GO_ENV=development keeps the container as well"
        )
    shown = lines if wanted.tail is None else lines[max(0, len(lines) - wanted.tail) :]
    return [Printed("", line, 0) for line in shown]


@contextmanager
def _explained(job: Job, seen: Inspection) -> Iterator[None]:
    """Say what to do about a log driver. Raises `NotPossible`."""
    try:
        yield
    except EngineRefused as error:
        if error.message != UNREADABLE_LOG:
            raise
        driver = seen.log_driver or "that of the engine"
        raise NotPossible(
            f"job {job.launch_id}: the output cannot be read, since its log driver ({driver}) does"
            " not give it back. `log` in the catalogue, or log-driver in Docker's daemon.json, has"
            ' to be one that does, such as "json-file", "local" or "journald"'
        ) from None
