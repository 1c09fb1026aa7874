"""Launch rate and latency beside bare create and start, and beside docker-py and gRPC alone."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from statistics import median

import docker

from benchmarks.bench import Bench
from benchmarks.contenders import BARE, SUPERVISOR, Launcher, OverGrpc, bare_grpc, contenders
from benchmarks.docker_py import DockerPy
from benchmarks.processes import cpu_seconds
from benchmarks.result import Goal, Result, Rounds, Row
from tests.support import containers
from tests.support.supervised import Supervised, eventually

# The Engine finishes some of its work after it has answered (seconds).
_SETTLE = 0.5
_RATE, _LATENCY = Goal(0.90, at_least=True), Goal(1 / 0.90)
_LAUNCHES = {1: 16, 4: 32, 16: 64}  # with so many in flight, in a round
_ROUNDS = 20  # all orders of the five, twice
_CPU = Goal(2)  # times docker-py's two calls alone
DOCKER_PY = "docker-py alone"
BARE_GRPC = "bare gRPC"


def measure(bench: Bench) -> Result:
    """Launch with 1, 4 and 16 in flight, in rounds."""
    rows: list[Row] = []
    with ExitStack() as stack:
        supervised = stack.enter_context(bench.supervisor())
        library = DockerPy(bench.engine.socket)
        entrants: dict[str, Launcher] = {**contenders(bench, supervised), DOCKER_PY: library}
        others = stack.enter_context(bench.others())
        entrants |= {who: OverGrpc(other.stub) for who, other in others.items()}
        entrants[SUPERVISOR].launch(0)
        library.copy_options()
        entrants[BARE_GRPC], bare_pid = stack.enter_context(bare_grpc(bench))
        ours = {SUPERVISOR: supervised, **others}
        end = partial(_end, bench, list(ours.values()))
        end()
        clocks: dict[str, Callable[[], float]] = {
            **{who: partial(cpu_seconds, each.pid) for who, each in ours.items()},
            BARE_GRPC: partial(cpu_seconds, bare_pid),
            DOCKER_PY: library.cpu_seconds,
        }
        for in_flight in _LAUNCHES:
            rows += _in_flight(bench, entrants, clocks, end, in_flight)
    return Result("launch", rows)


def _in_flight(
    bench: Bench,
    entrants: dict[str, Launcher],
    clocks: dict[str, Callable[[], float]],
    end: Callable[[], None],
    in_flight: int,
) -> list[Row]:
    found, launches = Rounds(), bench.size(_LAUNCHES[in_flight], 16)
    ours = [SUPERVISOR, *bench.beside]
    text = f"launch, {in_flight} in flight"
    rate, latency, cpu_time = f"rate, {text}", f"latency, {text}", f"CPU time, {text}"
    for who in bench.rounds(list(entrants), bench.size(_ROUNDS, 2), text):
        before = clocks[who]() if who in clocks else 0
        seconds, took = _launch(entrants[who], in_flight, launches)
        found.add(rate, who, launches / seconds)
        found.add(latency, who, median(took) * 1000)
        if who in clocks:
            found.add(cpu_time, who, (clocks[who]() - before) / launches * 1000)
        end()
    return [
        *found.rows(rate, "1/s", baseline=BARE, goals=dict.fromkeys(ours, _RATE)),
        *found.rows(latency, "ms", baseline=BARE, goals=dict.fromkeys(ours, _LATENCY)),
        *found.rows(cpu_time, "ms", baseline=DOCKER_PY, goals=dict.fromkeys(ours, _CPU)),
    ]


def _end(bench: Bench, supervised: Sequence[Supervised]) -> None:
    """Remove them as a third party, so that each contender finds the Engine in the same state.

    And few at once: Docker 20.10 may lock itself out (see docs/reliability.md).
    """
    with closing(docker.DockerClient(bench.engine.host)) as client:
        containers.remove_everything(client)
    for each in supervised:
        eventually(each.is_idle)
    time.sleep(_SETTLE)


def _launch(who: Launcher, in_flight: int, launches: int) -> tuple[float, list[float]]:
    """The seconds for all launches, and for each."""

    def timed(number: int) -> float:
        began = time.perf_counter()
        who.launch(number)
        return time.perf_counter() - began

    began = time.perf_counter()
    with ThreadPoolExecutor(in_flight) as pool:
        took = list(pool.map(timed, range(launches)))
    return time.perf_counter() - began, took
