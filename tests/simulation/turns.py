"""A line of launches that notes if the wrong one is called."""

from collections.abc import Callable

from observability.label_values import LaunchQueue
from observability.metrics import Metrics
from service.jobs.catalog import Catalog
from service.jobs.model import Job
from service.state.line import Line


class WatchedLine(Line):
    """Who is called has the highest priority, and of equal job names the one whose turn it is."""

    def __init__(self, queue: LaunchQueue, catalog: Catalog, metrics: Metrics) -> None:
        super().__init__(queue, catalog, metrics)
        self.wrong: list[str] = []
        self._calls = 0
        self._since: dict[str, int] = {}  # job names; the call after which each came or was called

    def enter(self, job: Job) -> None:
        if job.name not in self._turns:
            self._since[job.name] = self._calls
        super().enter(job)

    def call_next(self, may_go: Callable[[str], bool] = lambda _: True) -> bool:
        firsts = {name: next(iter(launch_ids)) for name, launch_ids in self._turns.items()}
        able = [name for name, launch_id in firsts.items() if may_go(launch_id)]
        called = super().call_next(may_go)
        for name, launch_id in firsts.items():
            if launch_id not in self:
                self._check(name, able)
                self._calls += 1
                self._since[name] = self._calls
        return called

    def _check(self, called: str, able: list[str]) -> None:
        ranks = {name: (-self._priority(name), self._since[name]) for name in able}
        first = min(ranks.values(), default=None)
        if first is None or ranks.get(called) != first:
            self.wrong.append(f"a launch out of turn: {called}, of {ranks}")

    def _priority(self, job_name: str) -> int:
        return self._catalog[job_name].priority
