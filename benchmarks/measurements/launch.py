"""Launch rate and latency beside bare create and start, and beside docker-py and gRPC alone."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from statistics import median

from benchmarks.bench import Bench
from benchmarks.contenders import BARE, SUPERVISOR, Contender, bare_grpc, contenders
from benchmarks.docker_py import DockerPy
from benchmarks.processes import cpu_seconds
from benchmarks.result import Goal, Result, Rounds, Row

# The Engine finishes some of its work after it has answered (seconds).
_SETTLE = 0.5
_AS_FAST = 0.90
_ROUNDS = 20  # all orders of the five, twice
_CPU = Goal(5, absolute=True)
DOCKER_PY = "docker-py alone"
BARE_GRPC = "bare gRPC"


def measure(bench: Bench) -> Result:
    """Launch with 1, 4 and 16 in flight, in rounds."""
    rows: list[Row] = []
    with ExitStack() as stack:
        supervised = stack.enter_context(bench.supervisor())
        assert supervised.process is not None
        library = DockerPy(bench.engine.socket)
        everybody = contenders(bench, supervised) | {DOCKER_PY: library}
        everybody[SUPERVISOR].launch(0)
        library.copy_options()
        everybody[BARE_GRPC], bare_pid = stack.enter_context(bare_grpc(bench))
        everybody[SUPERVISOR].end_all()
        clocks: dict[str, Callable[[], float]] = {
            SUPERVISOR: partial(cpu_seconds, supervised.process.pid),
            BARE_GRPC: partial(cpu_seconds, bare_pid),
            DOCKER_PY: library.cpu_seconds,
        }
        for in_flight, launches in (1, 16), (4, 32), (16, 64):
            many = bench.size(launches, 16)
            rows += _in_flight(bench, everybody, clocks, in_flight, many)
    return Result("launch", rows)


def _in_flight(
    bench: Bench,
    everybody: dict[str, Contender],
    clocks: dict[str, Callable[[], float]],
    in_flight: int,
    launches: int,
) -> list[Row]:
    found = Rounds()
    text = f"launch, {in_flight} in flight"
    rate, latency, cpu_time = f"rate, {text}", f"latency, {text}", f"CPU time, {text}"
    for who in bench.rounds(list(everybody), bench.size(_ROUNDS, 2), text):
        before = clocks[who]() if who in clocks else 0
        seconds, took = _launch(everybody[who], in_flight, launches)
        found.add(rate, who, launches / seconds)
        found.add(latency, who, median(took) * 1000)
        if who in clocks:
            found.add(cpu_time, who, (clocks[who]() - before) / launches * 1000)
        everybody[who].end_all()
        time.sleep(_SETTLE)
    return [
        *found.rows(rate, "1/s", baseline=BARE, goals={SUPERVISOR: Goal(_AS_FAST, at_least=True)}),
        *found.rows(latency, "ms", baseline=BARE, goals={SUPERVISOR: Goal(1 / _AS_FAST)}),
        *found.rows(cpu_time, "ms", baseline=DOCKER_PY, goals={SUPERVISOR: _CPU}),
    ]


def _launch(who: Contender, in_flight: int, launches: int) -> tuple[float, list[float]]:
    """The seconds for all of them, and for each."""

    def timed(number: int) -> float:
        began = time.perf_counter()
        who.launch(number)
        return time.perf_counter() - began

    began = time.perf_counter()
    with ThreadPoolExecutor(in_flight) as pool:
        took = list(pool.map(timed, range(launches)))
    return time.perf_counter() - began, took
