"""Closes jobs whose workload has exited or is gone: removes it, or has the job started again."""

import time
from dataclasses import replace

from service.engine.base import Engine
from service.engine.workloads import Exit, Inspection, Status
from service.errors import EngineRefused, NoSuchWorkload
from service.jobs.model import FAILED_OUTCOMES, Job
from service.jobs.observations import Closed, ExitSeen, RunEnded
from service.jobs.outcomes import outcome_of
from service.jobs.restarts import Again, NotRestarted, after_end
from service.lifecycle.exit_hints import Hint, Hints
from service.lifecycle.exits import exit_of, exit_without_workload
from service.lifecycle.last_lines import last_lines
from service.lifecycle.live_jobs import note_live
from service.lifecycle.other_supervisors import OtherSupervisors
from service.lifecycle.predecessors import Predecessors
from service.lifecycle.removal import Removal, Remover
from service.reporting.job_reports import log_back_off, report_exit
from service.settings import Settings
from service.state.registry import Registry
from service.support.retry import GAP_SECONDS, retry

# How long to retry while the engine is away (seconds). Once it is back, the cause of the exit is
# unknown; the listing that comes first then leads to another inspection.
_SHORT_GAP = 0.3
# The longest time from the event of an exit to its hint (seconds).
_HINT_DELAY = 1.0


class Closing:
    """The only place that closes a job that has run."""

    def __init__(
        self,
        engine: Engine,
        remover: Remover,
        registry: Registry,
        *,
        hints: Hints,
        others: OtherSupervisors,
        predecessors: Predecessors,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._remover = remover
        self._registry = registry
        self._hints = hints
        self._others = others
        self._predecessors = predecessors
        self._development = not settings.production
        self._removing: set[str] = set()  # launch ids of jobs whose workload is being removed

    def is_removing(self, launch_id: str) -> bool:
        """Whether a job's workload is being removed: the event of that is no news."""
        return launch_id in self._removing

    async def close_stopped(self, job: Job, workload_id: str, stopped: Exit) -> None:
        """Close a job after a kill, without an inspection: the event has the exit code."""
        self._registry.observe(job.launch_id, ExitSeen())
        if self._keeps(job) and await self._inspect_live(workload_id):
            return  # started again by a third party; in production the removal finds that out
        await self._predecessors.remove_left(job)
        await self._remove_and_close(job, workload_id, Closed(stopped.at, stopped.code))

    async def close_exited(self, job: Job, seen: Inspection, hint: Hint) -> None:
        """Have an exited workload started again, or remove it and close its job.

        Neither if a new hint has arrived.
        """
        exited = self._given_up(job) or exit_of(seen, hint)
        failed = outcome_of(self._registry.current(job), exited) in FAILED_OUTCOMES
        output = await last_lines(self._engine, job, seen) if failed else ""
        exited = replace(exited, last_lines=output)
        if self._put_back(job, hint, exited):
            return
        now = self._registry.current(job)
        follows = after_end(now, exited)
        if isinstance(follows, Again):
            self._back_off(now, exited, follows)
            return
        await self._predecessors.remove_left(now)
        if not self._put_back(job, hint, exited):
            await self._remove_and_close(job, seen.id, exited, follows)

    async def close_gone(self, job: Job, hint: Hint) -> None:
        """Close a job whose workload somebody else has removed."""
        now = self._registry.current(job)
        if (now.backing_off or now.gave_up) and now.last_end:
            self._close(job, now.last_end, "refused" if now.gave_up else "")
        else:
            self._close(job, exit_without_workload(await self._last_hint(job, hint)))

    def _put_back(self, job: Job, hint: Hint, exited: Closed) -> bool:
        """Whether a new hint has arrived: it may have been started again, or removed."""
        if job.launch_id not in self._hints:
            return False
        known = replace(hint, exit_code=exited.exit_code, oom_killed=exited.oom_killed)
        self._hints.put_back(job.launch_id, known)
        return True

    async def _last_hint(self, job: Job, hint: Hint) -> Hint:
        """All hints about a job whose workload is gone.

        The event of the exit may have arrived during the inspection, and its hint may be about to
        follow. During a kill there is none.
        """
        current = self._registry.current(job)
        if hint.exit_code is None and current.exit_seen and not current.kill_intended:
            await self._hints.wait(job.launch_id, _HINT_DELAY)
        return hint.merged_with(self._hints.take(job.launch_id) or Hint())

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
        now = self._registry.current(job)
        return now.last_end if now.gave_up else None

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

    async def _remove(self, job: Job, workload_id: str) -> Removal | None:
        """Free an exited workload's name; None if it is live again.

        Never by force: a third party may have started it again. Raises the `EngineError`s.
        """
        exits = self._registry.current(job).exits
        self._removing.add(job.launch_id)
        try:
            return await retry(
                lambda: self._others.note_lost_answer(job, self._remover.remove(workload_id)),
                away_limit=lambda: away_limit(self._registry.current(job)),
            )
        except EngineRefused:
            if seen := await self._inspect_live(workload_id):
                note_live(self._registry, job, seen, exits)
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


def away_limit(job: Job) -> float:
    """How long a call about the workload of a job is retried while the engine is away (seconds)."""
    return GAP_SECONDS if job.being_killed else _SHORT_GAP
