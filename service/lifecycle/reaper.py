"""Finds out what has become of a job's workload, and why, and has the job closed."""

import asyncio
from dataclasses import replace

from service.engine.base import Engine
from service.engine.workloads import Inspection, Status
from service.errors import EngineRefused, EngineTimeout, NoSuchWorkload
from service.jobs.model import Job, State
from service.jobs.observations import ExitSeen, ImageSeen
from service.lifecycle.closing import Closing, away_limit
from service.lifecycle.exit_hints import Hint, Hints
from service.lifecycle.exits import cause_may_follow
from service.lifecycle.live_jobs import note_live, note_pause
from service.lifecycle.other_supervisors import OtherSupervisors
from service.lifecycle.predecessors import Predecessors
from service.lifecycle.reinspections import Reinspections
from service.lifecycle.removal import Remover
from service.settings import Settings
from service.state.registry import Registry
from service.support.retry import retry
from service.support.tasks import Background, SingleFlight

# Time limits of the first inspection and of later ones (seconds): an engine may not answer about
# some workloads at all, and each of these calls occupies a thread until it times out.
_FIRST_TIMEOUT, _LATER_TIMEOUT = 2.0, 10.0


class Reaper:
    """Inspects workloads after hints; one task at a time for each job."""

    def __init__(
        self,
        engine: Engine,
        remover: Remover,
        registry: Registry,
        *,
        others: OtherSupervisors,
        predecessors: Predecessors,
        background: Background,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._others = others
        self._registry = registry
        self._predecessors = predecessors
        self._reaps: SingleFlight[None] = SingleFlight()
        self._hints = Hints()  # kept for jobs whose workload is to be inspected again
        self._later = Reinspections(registry, background, self._inspect_again, self._forget_hints)
        self._closing = Closing(
            engine,
            remover,
            registry,
            hints=self._hints,
            others=others,
            predecessors=predecessors,
            settings=settings,
        )

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
        return self._closing.is_removing(launch_id)

    def note_pause(self, launch_id: str, *, paused: bool) -> None:
        """Believe an event without an inspection; one that is under way is repeated."""
        note_pause(self._registry, launch_id, paused=paused)
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
            long_timeout = self._registry.current(job).being_killed
            try:
                await self._handle_hint(job, hint)
            except (EngineRefused, EngineTimeout) as error:
                self._hints.put_back(job.launch_id, hint)
                short = isinstance(error, EngineTimeout) and not long_timeout
                # By now: with a longer one.
                if not (short and self._registry.current(job).being_killed):
                    self._later.schedule(job.launch_id, error)
                    raise

    async def _inspect_again(self, launch_id: str) -> None:
        await self.reap(launch_id, Hint())

    async def _handle_hint(self, job: Job, hint: Hint) -> None:
        assert job.workload_id is not None
        if hint.stopped and self._registry.current(job).kill_intended:
            await self._closing.close_stopped(job, job.workload_id, hint.stopped)
            return
        exits = self._registry.current(job).exits
        try:
            seen = await self._inspect(job, job.workload_id)
        except NoSuchWorkload:
            await self._predecessors.remove_left(self._registry.current(job))
            now = self._registry.current(job)
            if now.run == job.run and not self._others.close(now, hint):
                await self._closing.close_gone(job, hint)
            return
        if self._registry.current(job).run != job.run:
            return  # it has a successor by now
        self._registry.observe(job.launch_id, ImageSeen(seen.id, seen.image_digest))
        self._others.note_stop(job.launch_id, seen)
        if seen.status is Status.LIVE:
            note_live(self._registry, job, seen, exits)
            return
        if self._registry.current(job).state is State.BACKING_OFF:
            return  # it is known that it has exited
        self._registry.observe(job.launch_id, ExitSeen())
        if not await self._await_cause(job, seen, hint):
            await self._closing.close_exited(job, seen, hint)

    async def _await_cause(self, job: Job, seen: Inspection, hint: Hint) -> bool:
        """Wait for an event about memory if one may follow; True if any hint has arrived."""
        delay = self._engine.capabilities.reports_lack_of_memory_within
        if not delay or not cause_may_follow(self._registry.current(job), seen, hint):
            return False
        await self._hints.wait(job.launch_id, delay)
        if job.launch_id not in self._hints:
            return False
        known = replace(hint, exit_code=seen.exit_code, waited=True)
        self._hints.put_back(job.launch_id, known)
        return True

    async def _inspect(self, job: Job, workload_id: str) -> Inspection:
        async def inspect() -> Inspection:
            now = self._registry.current(job)
            long_timeout = now.being_killed or job.launch_id in self._later
            timeout = _LATER_TIMEOUT if long_timeout else _FIRST_TIMEOUT
            return await self._engine.inspect(workload_id, timeout=timeout)

        return await retry(inspect, away_limit=lambda: away_limit(self._registry.current(job)))
