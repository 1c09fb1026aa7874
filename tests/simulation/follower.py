"""A watch of the supervisor's jobs, which knows of them only what the journal tells."""

from collections.abc import Iterator

from service.jobs.model import Job, State
from service.state.changes import BEGINNING, Journal
from service.state.registry import Registry


class Follower:
    """Begins with a life, and so with no jobs."""

    def __init__(self, journal: Journal, registry: Registry) -> None:
        self._journal, self._registry = journal, registry
        self._place = BEGINNING
        self._jobs: dict[str, Job] = {}

    def wrong(self) -> Iterator[str]:
        """What it knows otherwise than the registry, once it has heard of every change."""
        if not self._journal.reaches_back_to(self._place):
            yield f"a watch that was too slow: {self._journal.last} changes in a life"
        for job in self._journal.after(self._place):
            if job.state is State.GONE and job.launch_id not in self._jobs:
                yield f"a watch hears of an end twice, or of no beginning: {job}"
            self._jobs[job.launch_id] = job
            if job.state is State.GONE:
                del self._jobs[job.launch_id]
        self._place = self._journal.last
        known = {job.launch_id: job.visible for job in self._jobs.values()}
        if known != (true := {job.launch_id: job.visible for job in self._registry.jobs()}):
            yield f"a watch knows something else: {known}, and there is {true}"
