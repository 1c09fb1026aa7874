"""The live jobs and their states: the only mutable state of jobs that there is.

It is written only on the event loop, and never across an `await`, so there are no locks. Each
change updates the metrics in the same step, so that they cannot differ from ListJobs.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from observability.metrics import Metrics
from service.jobs.model import Job, State
from service.jobs.observations import Observation, Started
from service.jobs.transitions import advance
from service.state.idempotency import Keys
from service.state.registry_snapshot import JobTable, Snapshot


class Registry:
    """The live jobs, in the order of their launch."""

    def __init__(self, metrics: Metrics) -> None:
        self.keys = Keys()
        self._metrics = metrics
        self._jobs: dict[str, Job] = {}  # by launch id, as all tables here but the next
        self._table = JobTable()  # the same jobs, for snapshots
        self._launch_ids: dict[str, dict[str, None]] = {}  # by identifier; oldest first
        self._counts: Counter[str] = Counter()  # by job name
        self._waiters: dict[str, dict[asyncio.Future[None], None]] = {}  # the first one first
        self._closings: dict[str, asyncio.Future[Job]] = {}
        self._known = 0  # how many jobs have been here
        self._change_listeners: list[Callable[[Job], None]] = []
        self._listeners: list[Callable[[Job], None]] = []
        self._start_listeners: list[Callable[[Job], None]] = []

    def subscribe(self, listener: Callable[[Job], None]) -> None:
        """Call the listener with each job that has come to another state, or is gone."""
        self._listeners.append(listener)

    def subscribe_to_changes(self, listener: Callable[[Job], None]) -> None:
        """Call the listener with each new job, and with each that has changed visibly.

        It may not change jobs: listeners would then get changes in different orders.
        """
        self._change_listeners.append(listener)

    def subscribe_to_starts(self, listener: Callable[[Job], None]) -> None:
        """Call the listener for each job whose workload has started."""
        self._start_listeners.append(listener)

    def add(self, job: Job) -> None:
        """Reserve the identifier for a launch."""
        self._notify_of_change(self._add(job))

    def _add(self, job: Job) -> Job:
        assert job.launch_id not in self._jobs
        self._known += 1
        job = replace(job, number=self._known)
        self._put(job)
        self._launch_ids.setdefault(job.identifier, {})[job.launch_id] = None
        self._counts[job.name] += 1
        self.keys.hold(job)
        self._update_metrics(None, job)
        return job

    def adopt(self, job: Job, started: Started) -> None:
        """Add a job whose workload this process has not launched."""
        self._add(replace(job, adopted=True))
        self.observe(job.launch_id, started)

    def current(self, job: Job) -> Job:
        """A job as it is now; as it was if it is gone."""
        return self._jobs.get(job.launch_id, job)

    def observe(self, launch_id: str, observation: Observation) -> Job | None:
        """Apply an observation to a job; the job after it, None if there is no such live job."""
        before = self._jobs.get(launch_id)
        if before is None:
            return None
        after = advance(before, observation)
        if after.state is State.GONE:
            self._remove(after)
        else:
            self._put(after)
        self._update_metrics(before, after)
        self._wake(launch_id)
        if after.visible != before.visible:
            self._notify_of_change(after)
        if isinstance(observation, Started):
            for listener in self._start_listeners:
                listener(after)
        if after.state is not before.state:
            for listener in self._listeners:
                listener(after)
        return after

    def get(self, launch_id: str) -> Job | None:
        """A live job."""
        return self._jobs.get(launch_id)

    def __len__(self) -> int:
        """How many live jobs there are."""
        return len(self._jobs)

    def count(self, job_name: str) -> int:
        """How many live jobs of a job name there are."""
        return self._counts[job_name]

    def snapshot(self) -> Snapshot:
        """Every live job, as it is now."""
        return self._table.snapshot()

    def jobs(self) -> Sequence[Job]:
        """Every live job."""
        return list(self._jobs.values())

    def of(self, identifier: str) -> Sequence[Job]:
        """The live jobs of one identifier, oldest first."""
        return [self._jobs[launch_id] for launch_id in self._launch_ids.get(identifier, ())]

    def grouped(self, identifier: str) -> Job | None:
        """The newest live action of an identifier."""
        for launch_id in reversed(self._launch_ids.get(identifier, {})):
            if (job := self._jobs[launch_id]).grouped:
                return job
        return None

    async def wait(self, launch_id: str, until: Callable[[Job], bool]) -> Job | None:
        """Wait until a job fulfils a condition, and return it; None once it is gone."""
        while (job := self._jobs.get(launch_id)) is not None and not until(job):
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(launch_id, {})[woken] = None
            try:
                await woken
            finally:
                self._forget_waiter(launch_id, woken)
        return job

    async def wait_within(
        self, launch_id: str, until: Callable[[Job], bool], seconds: float
    ) -> bool:
        """Wait at most so long; whether a job fulfils a condition by then, or is gone."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait(launch_id, until)
        except TimeoutError:
            return False
        return True

    def when_closed(self, launch_id: str) -> asyncio.Future[Job]:
        """A future of a live job, as it will be when it is gone: it then has its outcome."""
        return self._closings.setdefault(launch_id, asyncio.get_running_loop().create_future())

    def know_jobs(self, names: Collection[str]) -> None:
        """Have the metrics count jobs of these names under them from now on.

        A live job that was unknown so far, such as an adopted one, moves.
        """
        label = self._metrics.job_label
        named = [job for job in self._jobs.values() if job.name in names]
        moved = [job for job in named if label(job.name) != job.name]
        for job in moved:
            self._add_to_gauges(job, -1)
        self._metrics.know_jobs(names)
        for job in moved:
            self._add_to_gauges(job, 1)

    def _add_to_gauges(self, job: Job, number: int) -> None:
        """Change the gauges by job name by a job, as it is now."""
        label = self._metrics.job_label(job.name)
        self._metrics.jobs_running.labels(label).inc(number * job.runs)
        self._metrics.jobs_unhealthy.labels(label).inc(number * job.is_sick)

    def _put(self, job: Job) -> None:
        self._jobs[job.launch_id] = job
        self._table.put(job)

    def _remove(self, job: Job) -> None:
        del self._jobs[job.launch_id]
        self._table.remove(job.launch_id)
        self._counts[job.name] -= 1
        launch_ids = self._launch_ids[job.identifier]
        del launch_ids[job.launch_id]
        if not launch_ids:
            del self._launch_ids[job.identifier]
        self.keys.release(job)
        if closing := self._closings.pop(job.launch_id, None):
            closing.set_result(job)

    def _notify_of_change(self, job: Job) -> None:
        for listener in self._change_listeners:
            listener(job)

    def _forget_waiter(self, launch_id: str, woken: asyncio.Future[None]) -> None:
        """Until a job changes, which may take days, many may come and go."""
        if waiters := self._waiters.get(launch_id):
            waiters.pop(woken, None)
            if not waiters:
                del self._waiters[launch_id]

    def _wake(self, launch_id: str) -> None:
        for woken in self._waiters.pop(launch_id, ()):
            if not woken.done():
                woken.set_result(None)

    def _update_metrics(self, before: Job | None, after: Job) -> None:
        metrics, label = self._metrics, self._metrics.job_label(after.name)
        entered = None if after.state is State.GONE else after.state
        left, ran = (before.state, before.runs) if before else (None, False)
        metrics.job_moved(after.name, left, entered, live=after.runs - ran, node=after.node)
        if sick := after.is_sick - (before is not None and before.is_sick):
            metrics.jobs_unhealthy.labels(label).inc(sick)
        if before is not None and before.workload_id is None and after.workload_id is not None:
            if not before.predecessor:
                (metrics.adoptions if after.adopted else metrics.launches).labels(label).inc()
            elif not (after.backing_off or after.gave_up):
                metrics.restarts.labels(label).inc()
        if after.state is State.GONE and after.outcome is not None:
            metrics.exits.labels(label, after.outcome).inc()
            if after.signal is not None:
                metrics.exits_by_others.labels(label).inc()
            if after.ended_early:
                metrics.early_exits.labels(label).inc()
            if after.started_at is not None and after.ended_at is not None:
                life = max(0.0, after.ended_at - after.started_at)
                metrics.job_duration.labels(after.outcome).observe(life)
