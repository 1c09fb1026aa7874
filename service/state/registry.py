"""Who runs, in which state: the only mutable job state there is.

Written only on the event loop, and never across an `await`: there are no locks. What changes here
changes the metrics, so that they cannot drift from ListJobs.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from observability.metrics import Metrics
from service.jobs.model import Job, Observation, Started, State, advance
from service.state.idempotency import Keys
from service.state.snapshot import Snapshot


class Registry:
    """The live jobs, in the order of their launch."""

    def __init__(self, metrics: Metrics) -> None:
        self.keys = Keys()
        self._metrics = metrics
        self._jobs: dict[str, Job] = {}
        self._launches: dict[str, dict[str, None]] = {}  # identifier: launch ids, oldest first
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._ends: dict[str, asyncio.Future[Job]] = {}

    def add(self, job: Job) -> None:
        """Reserve the identifier for a launch."""
        assert job.launch_id not in self._jobs
        self._jobs[job.launch_id] = job
        self._launches.setdefault(job.identifier, {})[job.launch_id] = None
        self.keys.hold(job)
        self._account(None, job)

    def adopt(self, job: Job, started: Started) -> None:
        """Take over a container that runs, or that has run, and that nobody here launched."""
        self.add(replace(job, adopted=True))
        self.observe(job.launch_id, started)

    def observe(self, launch_id: str, observation: Observation) -> Job | None:
        """Bring a fact to a job: the job after it, None where there is no such live job."""
        before = self._jobs.get(launch_id)
        if before is None:
            return None
        after = advance(before, observation)
        if after.state is State.GONE:
            self._forget(after)
        else:
            self._jobs[launch_id] = after
        self._account(before, after)
        self._wake(launch_id)
        return after

    def get(self, launch_id: str) -> Job | None:
        """A live job."""
        return self._jobs.get(launch_id)

    def __len__(self) -> int:
        """How many live jobs there are."""
        return len(self._jobs)

    def snapshot(self) -> Snapshot:
        """Every live job, as it is now."""
        return Snapshot(self._jobs.copy())

    def jobs(self) -> Sequence[Job]:
        """Every live job."""
        return list(self._jobs.values())

    def of(self, identifier: str) -> Sequence[Job]:
        """The live jobs of one identifier, oldest first."""
        return [self._jobs[launch_id] for launch_id in self._launches.get(identifier, ())]

    def grouped(self, identifier: str) -> Job | None:
        """The newest live job of an identifier among those that are grouped."""
        for launch_id in reversed(self._launches.get(identifier, {})):
            if (job := self._jobs[launch_id]).grouped:
                return job
        return None

    async def wait(self, launch_id: str, until: Callable[[Job], bool]) -> Job | None:
        """Wait until a job is as wanted, and return it; None once it is gone."""
        while (job := self._jobs.get(launch_id)) is not None and not until(job):
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(launch_id, []).append(woken)
            await woken
        return job

    def end_of(self, launch_id: str) -> asyncio.Future[Job]:
        """Where a live job will be found once it is gone, with how it ended."""
        return self._ends.setdefault(launch_id, asyncio.get_running_loop().create_future())

    def _forget(self, job: Job) -> None:
        del self._jobs[job.launch_id]
        launches = self._launches[job.identifier]
        del launches[job.launch_id]
        if not launches:
            del self._launches[job.identifier]
        self.keys.release(job)
        if end := self._ends.pop(job.launch_id, None):
            end.set_result(job)

    def _wake(self, launch_id: str) -> None:
        for woken in self._waiters.pop(launch_id, ()):
            if not woken.done():
                woken.set_result(None)

    def _account(self, before: Job | None, after: Job) -> None:
        metrics, label = self._metrics, self._metrics.job_label(after.name)
        entered = None if after.state is State.GONE else after.state
        left, ran = (before.state, before.runs) if before else (None, False)
        metrics.job_moved(after.name, left, entered, live=after.runs - ran)
        if before is not None and before.workload_id is None and after.workload_id is not None:
            (metrics.adoptions if after.adopted else metrics.launches).labels(label).inc()
        if after.state is State.GONE and after.outcome is not None:
            metrics.exits.labels(label, after.outcome).inc()
            if after.signal is not None:
                metrics.exits_by_others.labels(label).inc()
            if after.ended_early:
                metrics.early_exits.labels(label).inc()
            if after.started_at is not None and after.ended_at is not None:
                life = max(0.0, after.ended_at - after.started_at)
                metrics.job_duration.labels(after.outcome).observe(life)
