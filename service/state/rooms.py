"""Room for jobs: how many may run in all, of a job name and of an image; and who waits for it."""

from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from observability.metrics import Metrics
from service.jobs.catalog import Catalog
from service.jobs.model import Job, State
from service.settings import Settings
from service.state.line import Line
from service.state.registry import Registry


class _Limit(NamedTuple):
    """So many jobs may run, of these job names or of all. `subject` and `source` are for people."""

    most: int
    job_names: Collection[str] | None
    subject: str
    source: str


class Rooms:
    """Gives launches room. Every job of the registry has some, except those that wait for it.

    Limits are read at each decision, because the catalogue may change.
    """

    def __init__(
        self, registry: Registry, catalog: Catalog, settings: Settings, metrics: Metrics
    ) -> None:
        self._registry = registry
        self._catalog = catalog
        self._settings = settings
        self._line = Line("room", catalog, metrics)
        registry.subscribe(self._note_if_gone)

    def limit_reached(self, job: Job) -> str | None:
        """The limit that keeps a launch from going on, in words; None if there is room for it.

        It replaces the earlier jobs of its identifier, which do not count: it waits for their end.
        """
        for limit in self._limits(job.name):
            running = self._running(limit.job_names)
            if running >= limit.most:  # which is the exception
                running -= self._replaced(job, limit.job_names)
            if running >= limit.most:
                return f"{limit.subject}: {running} run, and {limit.source} allows no more"
        return None

    @property
    def waiting(self) -> int:
        """How many launches wait for room."""
        return len(self._line)

    def may_wait(self, job_name: str) -> bool:
        """Whether a launch waits for room, in place of being refused."""
        entry = self._catalog.get(job_name)
        return entry is not None and entry.when_full == "wait"

    def enter(self, job: Job) -> None:
        """Have a job of the registry wait for room. It leaves with the room, or with its end."""
        self._line.enter(job)

    async def wait(self, launch_id: str) -> None:
        """Wait until a launch has room."""
        await self._line.wait(launch_id)

    def displace(self, job_name: str) -> str | None:
        """Take the launch out that has to make place for one of this job name; its launch id.

        It is the last one of the job name with most of those that wait. None if there is no such.
        """
        last = self._line.last_of_most(job_name)
        if last is not None:
            self._line.leave(last)
        return last

    def drop_unknown(self) -> Sequence[tuple[str, str]]:
        """Take out the launches of jobs that the catalogue has no more; launch id and job name."""
        dropped = self._line.unknown()
        for launch_id, _ in dropped:
            self._line.leave(launch_id)
        return dropped

    def update(self) -> None:
        """Give room to those whose turn it is, as far as there is any."""
        while self._line and self._line.call_next(self._may_go):
            pass

    def _note_if_gone(self, job: Job) -> None:
        if job.state is not State.GONE:
            return
        self._line.leave(job.launch_id)
        self.update()

    def _may_go(self, launch_id: str) -> bool:
        job = self._registry.get(launch_id)
        return job is not None and self.limit_reached(job) is None

    def _limits(self, job_name: str) -> Iterator[_Limit]:
        if (most := self._settings.max_running_jobs) is not None:
            yield _Limit(most, None, "jobs", f"MAX_RUNNING_JOBS={most}")
        entry = self._catalog.get(job_name)
        if entry is None:
            return
        if (most := entry.max_running) is not None:
            yield _Limit(most, (job_name,), job_name, f"its max_running = {most}")
        if entry.image is not None and (most := self._catalog.image_limits.get(entry.image)):
            names = [name for name, each in self._catalog.items() if each.image == entry.image]
            yield _Limit(most, names, f"image {entry.image}", f"its max_running = {most}")

    def _running(self, job_names: Collection[str] | None) -> int:
        """How many jobs have room, of these names or in all."""
        if job_names is None:
            return len(self._registry) - len(self._line)
        return sum(self._registry.count(name) - self._line.count(name) for name in job_names)

    def _replaced(self, job: Job, job_names: Collection[str] | None) -> int:
        """How many of those that have room are gone before a launch goes on."""
        if not job.grouped:
            return 0
        same = self._registry.of(job.identifier)
        earlier = takewhile(lambda each: each.launch_id != job.launch_id, same)
        return sum(
            each.grouped
            and each.launch_id not in self._line
            and (job_names is None or each.name in job_names)
            for each in earlier
        )
