"""Closes jobs whose workload has exited or is gone: finds out why, and removes the workload."""

import asyncio
import time
from dataclasses import replace

from service.engine.base import Engine
from service.engine.workloads import Exit, Inspection, Status
from service.errors import EngineRefused, EngineTimeout, NoSuchWorkload
from service.jobs.model import FAILED_OUTCOMES, Job, State
from service.jobs.observations import Closed, ExitSeen, FoundLive, ImageSeen, PauseSeen, RunEnded
from service.jobs.outcomes import outcome_of
from service.jobs.restarts import Again, NotRestarted, after_end
from service.lifecycle.exit_hints import Hint, Hints
from service.lifecycle.exits import cause_may_follow, exit_of, exit_without_workload
from service.lifecycle.health import note_health
from service.lifecycle.last_lines import last_lines
from service.lifecycle.other_supervisors import OtherSupervisors
from service.lifecycle.reinspections import Reinspections
from service.lifecycle.removal import Removal, Remover
from service.reporting.job_reports import log_back_off, log_pause, report_exit
from service.settings import Settings
from service.state.registry import Registry
from service.support.retry import GAP_SECONDS, retry
from service.support.tasks import Background, SingleFlight

# Time limits of the first inspection and of later ones (seconds): an engine may not answer about
# some workloads at all, and each of these calls occupies a thread until it times out.
_FIRST_TIMEOUT, _LATER_TIMEOUT = 2.0, 10.0
# How long to retry while the engine is away (seconds). Once it is back, nobody can tell why the
# workload has exited; the listing that comes first then leads to another inspection.
_SHORT_GAP = 0.3
# The longest time from the event of an exit to its hint (seconds).
_HINT_DELAY = 1.0


class Reaper:
    """The only place that closes a job that has run; one task at a time for each job."""

    def __init__(
        self,
        engine: Engine,
        remover: Remover,
        registry: Registry,
        *,
        others: OtherSupervisors,
        background: Background,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._others = others
        self._remover = remover
        self._registry = registry
        self._development = not settings.production
        self._reaps: SingleFlight[None] = SingleFlight()
        self._removing: set[str] = set()  # launch ids of jobs whose workload is being removed
        self._hints = Hints()  # kept for jobs whose workload is to be inspected again
        self._later = Reinspections(registry, background, self._inspect_again, self._forget_hints)

    async def reap(self, launch_id: str, hint: Hint, *, workload_id: str | None = None) -> None:
        """Inspect a job's workload, and close the job if the workload is not live.

        `workload_id` is the workload that the hint is about, if it may be another one. Raises the
        `EngineError`s; the job then stays as it is.
        """
        job = await self._registry.wait(launch_id, lambda job: job.workload_id is not None)
        if job is None or workload_id not in (None, job.workload_id):
            return
        self._hints.add(launch_id, hint)
        await asyncio.shield(self._reaps.get(launch_id) or self._begin(job))

    def will_inspect_again(self, launch_id: str) -> bool:
        """Whether an inspection of a job's workload has failed and is to be repeated."""
        return launch_id in self._later

    def is_removing(self, launch_id: str) -> bool:
        """Whether a job's workload is being removed: the event of that is no news."""
        return launch_id in self._removing

    def note_pause(self, launch_id: str, *, paused: bool) -> None:
        """Believe an event without an inspection; one that is under way is repeated."""
        self._set_paused(launch_id, paused=paused)
        if self._reaps.get(launch_id):
            self._hints.add(launch_id, Hint())

    def _begin(self, job: Job) -> "asyncio.Task[None]":
        work, launch_id = self._handle_hints(job), job.launch_id
        task = self._reaps.begin(launch_id, work, f"reap {launch_id}")
        task.add_done_callback(lambda _: self._forget_hints(launch_id))
        return task

    def _forget_hints(self, launch_id: str) -> None:
        """Drop the hints of a job, unless a task is going to handle them."""
        if not self._reaps.get(launch_id) and launch_id not in self._later:
            self._hints.take(launch_id)

    async def _handle_hints(self, job: Job) -> None:
        """Inspect again for each hint that arrives meanwhile: the last result may be stale."""
        while now := self._registry.get(job.launch_id):
            if now.workload_id is None or not (hint := self._hints.take(job.launch_id)):
                return  # or its workload has given way to a successor
            job = now
            long_timeout = self._current(job).being_killed
            try:
                await self._handle_hint(job, hint)
            except (EngineRefused, EngineTimeout) as error:
                self._hints.put_back(job.launch_id, hint)
                short = isinstance(error, EngineTimeout) and not long_timeout
                if not (short and self._current(job).being_killed):  # by now: with a longer one
                    self._later.schedule(job.launch_id, error)
                    raise

    async def _inspect_again(self, launch_id: str) -> None:
        await self.reap(launch_id, Hint())

    async def _handle_hint(self, job: Job, hint: Hint) -> None:
        assert job.workload_id is not None
        if hint.stopped and self._current(job).kill_intended:
            await self._close_stopped(job, job.workload_id, hint.stopped)
            return
        exits = self._current(job).exits
        try:
            seen = await self._inspect(job, job.workload_id)
        except NoSuchWorkload:
            if self._is_same_run(job) and not self._others.close(self._current(job), hint):
                await self._close_gone(job, hint)
            return
        if not self._is_same_run(job):
            return
        self._registry.observe(job.launch_id, ImageSeen(seen.id, seen.image_digest))
        self._others.note_stop(job.launch_id, seen)
        if seen.status is Status.LIVE:
            self._handle_live(job, seen, exits)
            return
        if self._current(job).state is State.BACKING_OFF:
            return  # it is known that it has exited
        self._registry.observe(job.launch_id, ExitSeen())
        if not await self._await_cause(job, seen, hint):
            await self._close_exited(job, seen, hint)

    async def _close_stopped(self, job: Job, workload_id: str, stopped: Exit) -> None:
        """Close a job after a kill, without an inspection: the engine has told the exit code."""
        self._registry.observe(job.launch_id, ExitSeen())
        if self._keeps(job) and await self._inspect_live(workload_id):
            return  # started again by a third party; in production the removal finds that out
        await self._remove_and_close(job, workload_id, Closed(stopped.at, stopped.code))

    async def _last_hint(self, job: Job, hint: Hint) -> Hint:
        """All hints about a job whose workload is gone.

        The event of the exit may have arrived during the inspection, and its hint may be about to
        follow. During a kill there is none.
        """
        current = self._current(job)
        if hint.exit_code is None and current.exit_seen and not current.kill_intended:
            await self._hints.wait(job.launch_id, _HINT_DELAY)
        return hint.merged_with(self._hints.take(job.launch_id) or Hint())

    async def _await_cause(self, job: Job, seen: Inspection, hint: Hint) -> bool:
        """Wait for an event about memory if one may follow; True if any hint has arrived."""
        delay = self._engine.capabilities.tells_lack_of_memory_within
        if not delay or not cause_may_follow(self._current(job), seen, hint):
            return False
        await self._hints.wait(job.launch_id, delay)
        if job.launch_id not in self._hints:
            return False
        known = replace(hint, exit_code=seen.exit_code, waited=True)
        self._hints.put_back(job.launch_id, known)
        return True

    async def _close_exited(self, job: Job, seen: Inspection, hint: Hint) -> None:
        """Have an exited workload started again, or remove it and close its job.

        Neither if a new hint has arrived.
        """
        exited = self._given_up(job) or exit_of(seen, hint)
        failed = outcome_of(self._current(job), exited) in FAILED_OUTCOMES
        output = await last_lines(self._engine, job, seen) if failed else ""
        exited = replace(exited, last_lines=output)
        if job.launch_id in self._hints:  # it may have been started again, or removed
            known = replace(hint, exit_code=exited.exit_code, oom_killed=exited.oom_killed)
            self._hints.put_back(job.launch_id, known)
            return
        now = self._current(job)
        follows = after_end(now, exited)
        if isinstance(follows, Again):
            self._back_off(now, exited, follows)
        else:
            await self._remove_and_close(job, seen.id, exited, follows)

    def _back_off(self, job: Job, exited: Closed, again: Again) -> None:
        """Keep the workload: its successor is made from it."""
        wait = min(again.wait, max(0.0, exited.at + again.wait - time.time()))
        exited = replace(exited, ended_for=job.ended_for)
        ended = RunEnded(exited, again.restarts, time.time() + wait)
        waiting = self._registry.observe(job.launch_id, ended)
        if waiting is not None:
            log_back_off(waiting, exited, outcome_of(job, exited), wait=wait)

    def _given_up(self, job: Job) -> Closed | None:
        """The end of a job whose restarts the engine has refused."""
        now = self._current(job)
        return now.last_end if now.gave_up else None

    async def _close_gone(self, job: Job, hint: Hint) -> None:
        """Close a job whose workload somebody else has removed."""
        now = self._current(job)
        if now.backing_off and now.last_end:
            self._close(job, now.last_end)
        else:
            self._close(job, exit_without_workload(await self._last_hint(job, hint)))

    def _keeps(self, job: Job) -> bool:
        """Whether an exited workload is kept. One that is kept may not look as one that waits."""
        return self._development and job.restart is None

    async def _remove_and_close(
        self,
        job: Job,
        workload_id: str,
        exited: Closed,
        not_restarted: NotRestarted = "",
    ) -> None:
        """Free the name of an exited workload, and close its job, unless it is live again."""
        keeps = self._keeps(job)
        removal = None if keeps else await self._remove(job, workload_id)
        if removal is Removal.GONE and self._others.close(job, Hint()):
            return
        if removal or keeps:
            self._close(job, exited, not_restarted)

    def _close(self, job: Job, exited: Closed, not_restarted: NotRestarted = "") -> None:
        gone = self._registry.observe(job.launch_id, exited)
        if gone is not None and gone.outcome is not None:
            report_exit(gone, not_restarted=not_restarted)

    def _is_same_run(self, job: Job) -> bool:
        """Whether a job has no successor of its workload by now."""
        return self._current(job).run == job.run

    def _current(self, job: Job) -> Job:
        return self._registry.get(job.launch_id) or job

    def _handle_live(self, job: Job, seen: Inspection, exits: int) -> None:
        """Note that the workload is live, maybe again. During a kill, only note pause and health.

        `exits` is their number when the inspection began: if there is another one, it is stale.
        """
        if exits != self._current(job).exits:
            return
        self._set_paused(job.launch_id, paused=seen.paused)
        note_health(self._registry, job.launch_id, seen)
        now = self._registry.get(job.launch_id)
        if now is not None and not now.kill_intended:
            self._registry.observe(job.launch_id, FoundLive(seen.started_at))

    def _set_paused(self, launch_id: str, *, paused: bool) -> None:
        """Note whether a third party has paused a job, and log it if that is new."""
        job = self._registry.get(launch_id)
        if job is not None and job.paused != paused:
            self._registry.observe(launch_id, PauseSeen(paused))
            log_pause(job, paused=paused)

    async def _inspect(self, job: Job, workload_id: str) -> Inspection:
        async def inspect() -> Inspection:
            long_timeout = self._current(job).being_killed or job.launch_id in self._later
            timeout = _LATER_TIMEOUT if long_timeout else _FIRST_TIMEOUT
            return await self._engine.inspect(workload_id, timeout=timeout)

        return await retry(inspect, away_limit=lambda: self._away_limit(job))

    def _away_limit(self, job: Job) -> float:
        return GAP_SECONDS if self._current(job).being_killed else _SHORT_GAP

    async def _remove(self, job: Job, workload_id: str) -> Removal | None:
        """Free an exited workload's name; None if it is live again.

        Never by force: a third party may have started it again. Raises the `EngineError`s.
        """
        exits = self._current(job).exits
        self._removing.add(job.launch_id)
        try:
            return await retry(
                lambda: self._others.note_lost_answer(job, self._remover.remove(workload_id)),
                away_limit=lambda: self._away_limit(job),
            )
        except EngineRefused:
            if seen := await self._inspect_live(workload_id):
                self._handle_live(job, seen, exits)
                return None
            if job.launch_id in self._hints:  # it was live, and has exited again
                return None
            raise
        finally:
            self._removing.discard(job.launch_id)

    async def _inspect_live(self, workload_id: str) -> Inspection | None:
        """The inspection of a workload, if it is live."""
        try:
            seen = await self._engine.inspect(workload_id)
        except NoSuchWorkload:
            return None
        return seen if seen.status is Status.LIVE else None
