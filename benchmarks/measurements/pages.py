"""Launches while ten pages of the console are open, on an engine that costs nothing."""

from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.measurements.watch import Watched
from benchmarks.result import AGAIN, Goal, Result, Rounds
from benchmarks.stats import percentile

_NOBODY, _PAGES, _LOOKING = "nobody looks", 10, "10 pages are open"
_P99, _P50, _CPU, _MEMORY = "p99, launch", "p50, launch", "CPU time", "memory, for each page"
_GOAL = Goal(1.2)
_MOST_MEMORY = Goal(1024, absolute=True)  # KiB
_JOBS = 10_000  # that run meanwhile, and that each page gets


def measure(bench: Bench) -> Result:
    """Measure launches with and without pages, in rounds."""
    found = Rounds()
    with ExitStack() as stack:
        contenders = {who: Watched(stack, "pages") for who in (_NOBODY, _LOOKING, _NOBODY + AGAIN)}
        for each in contenders.values():
            each.ask("fill", bench.size(_JOBS, 1_000))
        for who in bench.rounds(list(contenders), bench.size(12, 2), "pages"):
            _measure_one(bench, contenders[who], who, found)
    goals = {_LOOKING: _GOAL}
    rows = found.rows(_P99, "ms", baseline=_NOBODY, goals=goals)
    rows += [*found.rows(_P50, "ms", baseline=_NOBODY), *found.rows(_CPU, "ms", baseline=_NOBODY)]
    rows += found.rows(_MEMORY, "KiB", goals={_LOOKING: _MOST_MEMORY})
    return Result("pages", rows)


def _measure_one(bench: Bench, service: Watched, who: str, found: Rounds) -> None:
    pages = _PAGES if who == _LOOKING else 0
    before = service.ask("memory")
    with service.watchers(pages):
        if pages:
            found.add(_MEMORY, who, (service.ask("memory") - before) / pages / 1024)
        took, cpu = service.measure(bench.size(500, 50))
    found.add(_P99, who, percentile(took, 99) * 1000)
    found.add(_P50, who, percentile(took, 50) * 1000)
    found.add(_CPU, who, cpu * 1000)
