"""KillAllJobs beside a parallel stop and remove, and the latency of other calls meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from benchmarks.bench import Bench, launch
from benchmarks.calls import identifier_of
from benchmarks.contenders import BARE, SUPERVISOR, Contender, OverGrpc, contenders
from benchmarks.result import Goal, Result, Rounds, Row
from benchmarks.stats import percentile
from tests.support.supervised import Supervised, eventually

_AT_ONCE = 8  # launches, which are not measured
_SETTLE = 1.0
_PAUSE = 0.02  # between two calls
_GOAL = Goal(1.15)


def measure(bench: Bench) -> Result:
    """Kill 50 jobs, and 400, in rounds."""
    found, answers = Rounds(), Rounds()
    sizes = {bench.size(50, 16): bench.size(24, 2), bench.size(400, 32): bench.size(4, 1)}
    with bench.supervisor() as supervised, bench.others() as others:
        entrants = contenders(bench, supervised)
        entrants |= {who: OverGrpc(other.stub) for who, other in others.items()}
        for jobs, rounds in sizes.items():
            for who in bench.rounds(list(entrants), rounds, f"kill {jobs}"):
                _launch(entrants[who], jobs)
                began = time.perf_counter()
                entrants[who].end_all()
                found.add(_end(jobs), who, time.perf_counter() - began)
            for _ in bench.rounds([None], rounds, f"answers, kill {jobs}"):
                _launch(entrants[SUPERVISOR], jobs)
                _answers_meanwhile(supervised, entrants[SUPERVISOR], jobs, answers)
    goals = dict.fromkeys([SUPERVISOR, *bench.beside], _GOAL)
    return Result("kill", [row for jobs in sizes for row in _rows(found, answers, jobs, goals)])


def _rows(found: Rounds, answers: Rounds, jobs: int, goals: dict[str, Goal]) -> list[Row]:
    rows = found.rows(_end(jobs), "s", baseline=BARE, goals=goals)
    for call in ("health", "dedup"):
        rows += answers.rows(_p99(call, jobs), "ms")
    return rows


def _end(jobs: int) -> str:
    return f"end of {jobs} jobs"


def _p99(call: str, jobs: int) -> str:
    return f"p99, {call}, meanwhile ({jobs} jobs)"


def _launch(who: Contender, jobs: int) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(who.launch, range(jobs)))
    time.sleep(_SETTLE)


def _answers_meanwhile(supervised: Supervised, who: Contender, jobs: int, answers: Rounds) -> None:
    """Call Health and LaunchJob of a running job until all other jobs have been killed."""
    took: dict[str, list[float]] = {"health": [], "dedup": []}
    steady = identifier_of(jobs)  # one more, which is not killed
    with _side_by_side(who.end_all) as ended:
        eventually(lambda: {job.status for job in supervised.jobs()} <= {"stopping"})
        launch(supervised.stub, steady)
        while not ended.is_set():
            for call, times in took.items():
                began = time.perf_counter()
                if call == "health":
                    supervised.health()
                else:
                    launch(supervised.stub, steady)
                times.append(time.perf_counter() - began)
            time.sleep(_PAUSE)
    supervised.kill(steady)
    for call, times in took.items():
        if times:
            answers.add(_p99(call, jobs), SUPERVISOR, percentile(times, 99) * 1000)


@contextmanager
def _side_by_side(work: Callable[[], None]) -> Iterator[threading.Event]:
    """Run the work in a thread. The end of the block waits for it, and raises its error."""
    ended = threading.Event()

    def run() -> None:
        try:
            work()
        finally:
            ended.set()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(run)
        yield ended
        working.result()
