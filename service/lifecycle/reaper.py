"""What an exit means: why the container ended, what it said last, and its removal."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from signal import SIGKILL

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from observability.redaction.redactor import MOST_CHARACTERS, Redactor
from service.engine.base import Engine, Exit, Inspection, Status
from service.errors import (
    EngineError,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    NoSuchWorkload,
)
from service.jobs.model import (
    FAILED_OUTCOMES,
    Ended,
    ExitSeen,
    FoundLive,
    Job,
    PauseSeen,
    outcome_of,
)
from service.jobs.workload import auth_in
from service.lifecycle.exit_hints import Hint, Hints
from service.lifecycle.removal import Remover
from service.reporting.job_reports import tell_life, tell_pause
from service.settings import Settings
from service.state.registry import Registry
from service.support.tasks import Background

# How soon an exit is looked into again that the Engine made trouble about (seconds), at first and
# in the end.
_RETRY, _LAST_RETRY = 1.0, 30.0
# What the Engine may take for an answer about a container (seconds), at first and later. It may not
# answer about some at all, and each of those takes up a thread for as long. They are looked at
# again so many at a time: others need threads, too (`BULK_THREADS`).
_FIRST_LOOK, _LOOK = 2.0, 10.0
_AGAIN_AT_ONCE = 4
# The exit code of what was killed.
_SIGKILLED = 137
# What comes between the event of an exit and its hint takes the Engine a moment at most (seconds).
_HINT_DELAY = 1.0
_SHOWN_LINES = 20
_SHOWN_CHARACTERS = 500
# More than is shown, so that a secret of several lines is not cut at its head and missed.
_FETCHED_LINES = 100


# A hiccup must not delay the news until the next comparison.
_a_few_times = partial(
    retry,
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(multiplier=0.1, max=1),
    reraise=True,
)


class Reaper:
    """Closes jobs whose container has exited or vanished; once for each launch at a time."""

    def __init__(
        self,
        engine: Engine,
        remover: Remover,
        registry: Registry,
        background: Background,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._remover = remover
        self._registry = registry
        self._background = background
        self._keep = not settings.production  # whether containers stay that have exited
        self._reaps: dict[str, asyncio.Task[None]] = {}
        self._hints = Hints()
        self._troubled: set[str] = set()  # launches to look into again: their hints are kept
        self._turns_again = asyncio.Semaphore(_AGAIN_AT_ONCE)

    async def reap(
        self,
        launch_id: str,
        *,
        workload_id: str | None = None,
        exit_code: int | None = None,
        oom_killed: bool = False,
        signal: int | None = None,
        witnessed: bool = True,
        stopped: Exit | None = None,
    ) -> None:
        """Look at a job's container and, where it does not run any more, close the job.

        `workload_id` says which container the hint was about, `exit_code` and `oom_killed` what
        it told, `signal` what others had sent before; `witnessed` is False where there was no hint
        and a comparison has found it out, and where the Engine was going away.
        `stopped` is how a kill has ended it, as the Engine told: then there is nothing to look at.
        Raises the `EngineError`s; the job then stays as it is.
        """
        job = await self._registry.wait(launch_id, lambda job: job.workload_id is not None)
        if job is None or workload_id not in (None, job.workload_id):
            return
        hint = Hint(exit_code, witnessed, oom_killed, stopped=stopped, signal=signal)
        self._hints.add(launch_id, hint)
        under_way = self._reaps.get(launch_id)
        if under_way is None or under_way.done():
            under_way = self._begin(job)
        await asyncio.shield(under_way)

    def is_troubled(self, launch_id: str) -> bool:
        """Whether a job is to be looked at again, as the Engine made trouble about it."""
        return launch_id in self._troubled

    def hear_pause(self, launch_id: str, *, paused: bool) -> None:
        """Take an event at its word, as nobody is to look; who does so just now, looks again."""
        self._note_pause(launch_id, paused=paused)
        if launch_id in self._reaps:
            self._hints.add(launch_id, Hint())

    def _begin(self, job: Job) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._follow_hints(job), name=f"reap {job.launch_id}")
        self._reaps[job.launch_id] = task
        task.add_done_callback(lambda done: self._end(job.launch_id, done))
        return task

    def _end(self, launch_id: str, task: "asyncio.Task[None]") -> None:
        if self._reaps.get(launch_id) is task:
            del self._reaps[launch_id]
            if launch_id not in self._troubled:
                self._hints.take(launch_id)
        if not task.cancelled():
            task.exception()  # seen: whoever waited may have gone

    async def _follow_hints(self, job: Job) -> None:
        """Look once more for each hint that arrives meanwhile: what was seen may be stale.

        Of a job that is gone, the last one tells of its removal, which was our own.
        """
        while self._registry.get(job.launch_id) and (hint := self._hints.take(job.launch_id)):
            patient = self._current(job).being_killed
            try:
                await self._reap(job, hint)
            except (EngineRefused, EngineTimeout) as error:
                self._hints.put_back(job.launch_id, hint)
                hurried = isinstance(error, EngineTimeout) and not patient
                if not (hurried and self._current(job).being_killed):  # which gives it more time
                    # Nobody else would come back to it soon, as the watcher does to an Engine.
                    self._look_again(job.launch_id, error)
                    raise

    def _look_again(self, launch_id: str, error: EngineError) -> None:
        """Later, and until it goes well; once at a time, however many ask for it."""
        if launch_id not in self._troubled:
            self._troubled.add(launch_id)
            self._background.spawn(self._again_and_again(launch_id, error), f"reap {launch_id}")

    async def _again_and_again(self, launch_id: str, error: EngineError) -> None:
        """Only what the Engine was too slow about takes a turn: the rest is soon done."""
        delay = _RETRY
        try:
            while not await self._is_gone_within(launch_id, delay):
                delay = min(2 * delay, _LAST_RETRY)
                try:
                    async with self._turn_after(error):
                        await self.reap(launch_id, witnessed=False)
                except (EngineRefused, EngineTimeout) as again:
                    error = again
                else:
                    return
        finally:
            self._troubled.discard(launch_id)
            if launch_id not in self._reaps:  # else its end does so
                self._hints.take(launch_id)

    async def _is_gone_within(self, launch_id: str, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._registry.wait(launch_id, lambda _: False)
        except TimeoutError:
            return False
        return True

    def _turn_after(self, error: EngineError) -> AbstractAsyncContextManager[None]:
        return self._turns_again if isinstance(error, EngineTimeout) else nullcontext()

    async def _reap(self, job: Job, hint: Hint) -> None:
        assert job.workload_id is not None
        if hint.stopped and self._current(job).kill_intended:
            await self._finish_stopped(job, job.workload_id, hint.stopped)
            return
        exits = self._exits(job)
        try:
            seen = await self._look(job, job.workload_id)
        except NoSuchWorkload:
            said = await self._all_said(job, hint)
            end = Ended(
                time.time(),
                said.exit_code,
                oom_killed=said.oom_killed,
                witnessed=said.witnessed,
                signal=said.signal,
            )
            self._close(job, end, "")
            return
        if seen.status is Status.LIVE:
            self._found_live(job, seen, exits)
            return
        self._registry.observe(job.launch_id, ExitSeen())
        if delay := self._delay_of_the_cause(job, seen, hint):
            await self._hints.wait(job.launch_id, delay)
            if job.launch_id in self._hints:
                known = replace(hint, exit_code=seen.exit_code, waited=True)
                self._hints.put_back(job.launch_id, known)
                return
        await self._finish(job, job.workload_id, seen, hint)

    async def _all_said(self, job: Job, hint: Hint) -> Hint:
        """All hints there are of a container that is gone: nothing else will tell how it ended.

        The exit may have been heard during the look, and its hint is about to come. During a kill
        there is none.
        """
        current = self._current(job)
        if hint.exit_code is None and current.exit_seen and not current.kill_intended:
            await self._hints.wait(job.launch_id, _HINT_DELAY)
        return hint.and_then(self._hints.take(job.launch_id) or Hint())

    async def _finish_stopped(self, job: Job, workload_id: str, exited: Exit) -> None:
        self._registry.observe(job.launch_id, ExitSeen())
        if self._keep and await self._live(workload_id):
            return  # a third party has started it again, which a removal finds out by itself
        if self._keep or await self._remove(job, workload_id):
            self._close(job, Ended(exited.at, exited.code), "")

    async def _finish(self, job: Job, workload_id: str, seen: Inspection, hint: Hint) -> None:
        """Remove an exited container and tell of its end, unless there are news of it meanwhile."""
        end = Ended(
            seen.ended_at or time.time(),
            seen.exit_code,
            oom_killed=seen.oom_killed or hint.oom_killed,
            started_at=seen.started_at,
            witnessed=hint.witnessed,
            signal=hint.signal,
        )
        output = await self._last_lines(job, end, seen)
        if job.launch_id in self._hints:  # it may have been started again, or removed
            known = replace(hint, exit_code=end.exit_code, oom_killed=end.oom_killed)
            self._hints.put_back(job.launch_id, known)
            return
        if self._keep or await self._remove(job, workload_id):
            self._close(job, end, output)

    def _exits(self, job: Job) -> int:
        return self._current(job).exits

    def _current(self, job: Job) -> Job:
        return self._registry.get(job.launch_id) or job

    def _delay_of_the_cause(self, job: Job, seen: Inspection, hint: Hint) -> float:
        """How long the engine may still take to report why a workload was killed (seconds).

        0 if the cause is known, or if the engine does not report a lack of memory.
        """
        current = self._current(job)
        for_want = seen.oom_killed or hint.oom_killed
        explained = for_want or current.kill_intended or hint.signal == SIGKILL
        fresh = hint.witnessed and not hint.waited
        unexplained = seen.exit_code == _SIGKILLED and fresh and not explained
        delay = self._engine.capabilities.tells_lack_of_memory_within or 0.0
        return delay if unexplained else 0.0

    def _found_live(self, job: Job, seen: Inspection, exits: int) -> None:
        """The container runs, or runs again. A kill under way decides for itself.

        `exits` is how many there were when the look began: another one makes it worthless.
        """
        if exits != self._exits(job):
            return
        self._note_pause(job.launch_id, paused=seen.paused)
        now = self._registry.get(job.launch_id)
        if now is not None and not now.kill_intended:
            self._registry.observe(job.launch_id, FoundLive())

    def _note_pause(self, launch_id: str, *, paused: bool) -> None:
        """Keep whether a third party holds a job, and tell of it where that is new."""
        job = self._registry.get(launch_id)
        if job is not None and job.paused != paused:
            self._registry.observe(launch_id, PauseSeen(paused))
            tell_pause(job, paused=paused)

    def _close(self, job: Job, end: Ended, output: str) -> None:
        gone = self._registry.observe(job.launch_id, end)
        if gone is not None and gone.outcome is not None:
            tell_life(gone, oom_killed=end.oom_killed, output=output)

    # What has run out of time is looked at again later: the others have their turn first.
    @_a_few_times(retry=retry_if_exception_type((EngineRefused, EngineUnavailable)))
    async def _look(self, job: Job, workload_id: str) -> Inspection:
        patient = self._current(job).being_killed or job.launch_id in self._troubled
        limit = _LOOK if patient else _FIRST_LOOK
        return await self._engine.inspect(workload_id, timeout=limit)

    async def _last_lines(self, job: Job, end: Ended, seen: Inspection) -> str:
        """The end of a failed job's output, without the secrets that it may hold."""
        if outcome_of(self._current(job), end) not in FAILED_OUTCOMES:
            return ""
        edit = partial(_fit_for_the_log, arguments=seen.arguments)
        try:
            return await self._engine.tail(seen.id, lines=_FETCHED_LINES, edit=edit)
        except EngineError as error:
            return f"(the output cannot be read: {error.message})"

    async def _remove(self, job: Job, workload_id: str) -> bool:
        """Free an exited container's name; never by force: a third party may have restarted it.

        False where that is so. Raises the `EngineError`s: the name is not free then.
        """
        exits = self._exits(job)
        try:
            await self._take_away(workload_id)
        except EngineRefused:
            if seen := await self._live(workload_id):
                self._found_live(job, seen, exits)
                return False
            if job.launch_id in self._hints:  # it ran, and has ended again
                return False
            raise
        return True

    @_a_few_times(retry=retry_if_exception_type(EngineUnavailable))
    async def _take_away(self, workload_id: str) -> None:
        await self._remover.remove(workload_id)

    async def _live(self, workload_id: str) -> Inspection | None:
        try:
            seen = await self._engine.inspect(workload_id)
        except NoSuchWorkload:
            return None
        return seen if seen.status is Status.LIVE else None


def _fit_for_the_log(output: str, arguments: Sequence[str]) -> str:
    """The last lines without secrets. Where a line is cut, the rest may be half of one."""
    if len(output) > MOST_CHARACTERS:
        output = output[-MOST_CHARACTERS:].partition("\n")[2]
    lines = Redactor(auth_in(arguments))(output).splitlines()[-_SHOWN_LINES:]
    return "\n".join(line[:_SHOWN_CHARACTERS] for line in lines)
