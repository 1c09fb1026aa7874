"""What an exit means: why the container ended, what it said last, and its removal."""

import asyncio
import time
from dataclasses import replace
from signal import SIGKILL

from service.engine.base import Engine, Inspection, Status
from service.errors import EngineRefused, EngineTimeout, NoSuchWorkload
from service.jobs.model import (
    FAILED_OUTCOMES,
    Ended,
    ExitSeen,
    FoundLive,
    Job,
    PauseSeen,
    outcome_of,
)
from service.lifecycle.exit_hints import Hint, Hints
from service.lifecycle.last_lines import last_lines
from service.lifecycle.later_looks import LaterLooks
from service.lifecycle.removal import Remover
from service.reporting.job_reports import tell_life, tell_pause
from service.settings import Settings
from service.state.registry import Registry
from service.support.retry import GAP_PATIENCE, patiently
from service.support.tasks import Background, SingleFlight

# What the Engine may take for an answer about a container (seconds), at first and later: it may not
# answer about some at all, and each of those takes up a thread for as long.
_FIRST_LOOK, _LOOK = 2.0, 10.0
# For how long an Engine that is away is asked about an exit (seconds). Once it is back, nobody can
# tell what has ended the container; the listing that comes first then leads to another look.
_BRIEFLY = 0.3
# The exit code of what was killed.
_SIGKILLED = 137
# What comes between the event of an exit and its hint takes the Engine a moment at most (seconds).
_HINT_DELAY = 1.0


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
        self._keep = not settings.production  # whether containers stay that have exited
        self._reaps: SingleFlight[None] = SingleFlight()
        self._removing: set[str] = set()  # launches whose container is being removed
        self._hints = Hints()  # those of a launch that is looked at again later are kept
        self._later = LaterLooks(registry, background, self._look_again, self._forget_hints)

    async def reap(self, launch_id: str, hint: Hint, *, workload_id: str | None = None) -> None:
        """Look at a job's container and, where it does not run any more, close the job.

        `workload_id` says which container the hint was about. Raises the `EngineError`s; the job
        then stays as it is.
        """
        job = await self._registry.wait(launch_id, lambda job: job.workload_id is not None)
        if job is None or workload_id not in (None, job.workload_id):
            return
        self._hints.add(launch_id, hint)
        await asyncio.shield(self._reaps.get(launch_id) or self._begin(job))

    def is_troubled(self, launch_id: str) -> bool:
        """Whether a job is to be looked at again, as the Engine made trouble about it."""
        return launch_id in self._later

    def is_removing(self, launch_id: str) -> bool:
        """Whether a job's container is being removed here: its removal is no news then."""
        return launch_id in self._removing

    def hear_pause(self, launch_id: str, *, paused: bool) -> None:
        """Take an event at its word, as nobody is to look; who does so just now, looks again."""
        self._note_pause(launch_id, paused=paused)
        if self._reaps.get(launch_id):
            self._hints.add(launch_id, Hint())

    def _begin(self, job: Job) -> "asyncio.Task[None]":
        work, launch_id = self._follow_hints(job), job.launch_id
        task = self._reaps.begin(launch_id, work, f"reap {launch_id}")
        task.add_done_callback(lambda _: self._forget_hints(launch_id))
        return task

    def _forget_hints(self, launch_id: str) -> None:
        """Unless somebody is going to follow them."""
        if not self._reaps.get(launch_id) and launch_id not in self._later:
            self._hints.take(launch_id)

    async def _follow_hints(self, job: Job) -> None:
        """Look once more for each hint that arrives meanwhile: what was seen may be stale."""
        while self._registry.get(job.launch_id) and (hint := self._hints.take(job.launch_id)):
            patient = self._current(job).being_killed
            try:
                await self._reap(job, hint)
            except (EngineRefused, EngineTimeout) as error:
                self._hints.put_back(job.launch_id, hint)
                hurried = isinstance(error, EngineTimeout) and not patient
                if not (hurried and self._current(job).being_killed):  # which gives it more time
                    # Nobody else would come back to it soon, as the watcher does to an Engine.
                    self._later.begin(job.launch_id, error)
                    raise

    async def _look_again(self, launch_id: str) -> None:
        await self.reap(launch_id, Hint())

    async def _reap(self, job: Job, hint: Hint) -> None:
        assert job.workload_id is not None
        if hint.stopped and self._current(job).kill_intended:
            self._registry.observe(job.launch_id, ExitSeen())
            if self._keep and await self._live(job.workload_id):
                return  # a third party has started it again, which a removal finds out by itself
            await self._close(job, job.workload_id, Ended(hint.stopped.at, hint.stopped.code))
            return
        exits = self._current(job).exits
        try:
            seen = await self._look(job, job.workload_id)
        except NoSuchWorkload:
            self._tell_end(job, await self._end_of_what_is_gone(job, hint))
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
        await self._finish(job, seen, hint)

    async def _end_of_what_is_gone(self, job: Job, hint: Hint) -> Ended:
        """From all hints there are: nothing else will tell how it ended.

        The exit may have been heard during the look, and its hint is about to come. During a kill
        there is none.
        """
        current = self._current(job)
        if hint.exit_code is None and current.exit_seen and not current.kill_intended:
            await self._hints.wait(job.launch_id, _HINT_DELAY)
        said = hint.and_then(self._hints.take(job.launch_id) or Hint())
        return Ended(
            time.time(),
            said.exit_code,
            oom_killed=said.oom_killed,
            witnessed=said.witnessed,
            signal=said.signal,
        )

    async def _finish(self, job: Job, seen: Inspection, hint: Hint) -> None:
        """Remove an exited container and tell of its end, unless there are news of it meanwhile."""
        end = Ended(
            seen.ended_at or time.time(),
            seen.exit_code,
            oom_killed=seen.oom_killed or hint.oom_killed,
            started_at=seen.started_at,
            witnessed=hint.witnessed,
            signal=hint.signal,
        )
        failed = outcome_of(self._current(job), end) in FAILED_OUTCOMES
        output = await last_lines(self._engine, seen) if failed else ""
        if job.launch_id in self._hints:  # it may have been started again, or removed
            known = replace(hint, exit_code=end.exit_code, oom_killed=end.oom_killed)
            self._hints.put_back(job.launch_id, known)
            return
        await self._close(job, seen.id, end, output)

    async def _close(self, job: Job, workload_id: str, end: Ended, output: str = "") -> None:
        """Free the name of an exited container, and close its job, unless it runs again."""
        if self._keep or await self._remove(job, workload_id):
            self._tell_end(job, end, output)

    def _tell_end(self, job: Job, end: Ended, output: str = "") -> None:
        gone = self._registry.observe(job.launch_id, end)
        if gone is not None and gone.outcome is not None:
            tell_life(gone, oom_killed=end.oom_killed, output=output)

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
        if exits != self._current(job).exits:
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

    async def _look(self, job: Job, workload_id: str) -> Inspection:
        """What has run out of time is looked at again later: the others have their turn first."""

        async def look() -> Inspection:
            patient = self._current(job).being_killed or job.launch_id in self._later
            limit = _LOOK if patient else _FIRST_LOOK
            return await self._engine.inspect(workload_id, timeout=limit)

        return await patiently(look, away=lambda: self._patience(job))

    def _patience(self, job: Job) -> float:
        return GAP_PATIENCE if self._current(job).being_killed else _BRIEFLY

    async def _remove(self, job: Job, workload_id: str) -> bool:
        """Free an exited container's name; never by force: a third party may have restarted it.

        False where that is so. Raises the `EngineError`s: the name is not free then.
        """
        exits = self._current(job).exits
        self._removing.add(job.launch_id)
        try:
            await patiently(
                lambda: self._remover.remove(workload_id), away=lambda: self._patience(job)
            )
        except EngineRefused:
            if seen := await self._live(workload_id):
                self._found_live(job, seen, exits)
                return False
            if job.launch_id in self._hints:  # it ran, and has ended again
                return False
            raise
        finally:
            self._removing.discard(job.launch_id)
        return True

    async def _live(self, workload_id: str) -> Inspection | None:
        try:
            seen = await self._engine.inspect(workload_id)
        except NoSuchWorkload:
            return None
        return seen if seen.status is Status.LIVE else None
