"""A line of launches that wait, how many and how long: by priority, then in turn by job name."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from observability.label_values import LaunchQueue
from observability.metrics import Metrics
from service.jobs.catalog import Catalog
from service.jobs.model import Job


class _Waiting(NamedTuple):
    """A launch that waits, since when (`monotonic`), and the future that ends its wait."""

    job_name: str
    since: float
    called: "asyncio.Future[None]"


class Line:
    """The launches that wait for one thing. Priorities are read at each call."""

    def __init__(self, queue: LaunchQueue, catalog: Catalog, metrics: Metrics) -> None:
        self._catalog = catalog
        self._length = metrics.launches_waiting.labels(queue)
        self._duration = metrics.launch_wait_duration.labels(queue)
        self._waiting: dict[str, _Waiting] = {}  # by launch id
        # The launch ids of each job name, the first one first. The job names are in turn.
        self._turns: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        """How many launches wait."""
        return len(self._waiting)

    def __contains__(self, launch_id: str) -> bool:
        """Whether a launch waits."""
        return launch_id in self._waiting

    def count(self, job_name: str) -> int:
        """How many launches of a job name wait."""
        return len(self._turns.get(job_name, ()))

    def unknown(self) -> Sequence[tuple[str, str]]:
        """The launches of jobs that the catalogue has no more; launch id and job name."""
        gone = [name for name in self._turns if name not in self._catalog]
        return [(launch_id, name) for name in gone for launch_id in self._turns[name]]

    def enter(self, job: Job) -> None:
        """Add a launch, behind those of its job name."""
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[job.launch_id] = _Waiting(job.name, time.monotonic(), called)
        self._turns.setdefault(job.name, {})[job.launch_id] = None
        self._length.set(len(self._waiting))

    async def wait(self, launch_id: str) -> None:
        """Wait until a launch is called; not at all if it is not here any more."""
        if waiting := self._waiting.get(launch_id):
            await asyncio.shield(waiting.called)

    def leave(self, launch_id: str) -> bool:
        """Take a launch out; whether it was still there, and not called."""
        return self._remove(launch_id) is not None

    def call_next(self, may_go: Callable[[str], bool] = lambda _: True) -> bool:
        """End the wait of the next launch that may go; whether there was one.

        Of each job name only the first launch is considered.
        """
        firsts = {name: next(iter(launch_ids)) for name, launch_ids in self._turns.items()}
        able = [name for name, launch_id in firsts.items() if may_go(launch_id)]
        if not able:
            return False
        name = max(able, key=self._priority_of)  # of equal ones the first
        if waiting := self._remove(firsts[name]):
            waiting.called.set_result(None)
        if left := self._turns.pop(name, None):
            self._turns[name] = left  # behind all others
        return True

    def last_of_most(self, job_name: str) -> str | None:
        """The last launch of the job name that has most of them here, if it is far from `job_name`.

        None if `job_name` has as many, or will have with one more.
        """
        most = max(self._turns, key=self.count, default=job_name)
        if self.count(most) <= self.count(job_name) + 1:
            return None
        return next(reversed(self._turns[most]))

    def _priority_of(self, job_name: str) -> int:
        entry = self._catalog.get(job_name)
        return entry.priority if entry else 0

    def _remove(self, launch_id: str) -> _Waiting | None:
        waiting = self._waiting.pop(launch_id, None)
        if waiting is None:
            return None
        launch_ids = self._turns[waiting.job_name]
        del launch_ids[launch_id]
        if not launch_ids:
            del self._turns[waiting.job_name]
        self._length.set(len(self._waiting))
        self._duration.observe(time.monotonic() - waiting.since)
        return waiting
