"""Launches while a thousand clients watch, on an engine that costs nothing."""

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

from grpc import aio

from benchmarks.bench import Bench
from benchmarks.calls import identifier_of, launch_of
from benchmarks.processes import Program, cpu_seconds
from benchmarks.result import AGAIN, Goal, Result, Rounds
from benchmarks.stats import percentile
from service._generated.area_supervisor_pb2 import JobId
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.area_types_pb2 import Response
from tests.support.supervised import free_port

NOBODY = "nobody watches"
_P99, _P50 = "p99, launch", "p50, launch"
_CPU, _COST = "CPU time", "a change, for each watch"
_GOAL = Goal(1.2)
# A launch and a kill are four changes: it is new, it runs, it is stopped, it is gone.
_CHANGES, _LIVES_PER_SECOND = 4, 25
_WARM_UP = 0.1  # so many lives come before those that count, for each of them
_GENERATIONS = 4  # new processes after every few rounds, since no two are equally fast


class Watched:
    """A service that clients may watch, each in its own process."""

    def __init__(self, stack: ExitStack, clients: str = "watchers") -> None:
        """`clients` are a program of `benchmarks.servers`; `pages` are those of the console."""
        console = free_port()
        program = Program(
            "benchmarks.servers.grown",
            str(free_port()),
            environment={"CONSOLE_PORT": str(console)} if clients == "pages" else {},
        )
        self._program = stack.enter_context(program)
        self._clients, self._port = clients, console if clients == "pages" else program.port
        self._numbers = count()

    def ask(self, command: str, number: int = 0) -> float:
        """A figure that the service has measured."""
        process = self._program.process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{command} {number}\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    @contextmanager
    def watchers(self, number: int) -> Iterator[None]:
        """Clients that have their snapshot, until the end of the block."""
        command = [sys.executable, "-m", f"benchmarks.servers.{self._clients}"]
        command += [str(self._port), str(number)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            if number and process.stdout.readline() != "begun\n":
                raise RuntimeError("the watches have not begun")
            yield
            process.stdin.close()

    def measure(self, lives: int) -> tuple[Sequence[float], float]:
        """Seconds of each launch, at a constant rate; and of the CPU, for each life.

        The first launches after a pause are slower: of the connection, and of caches that others
        have filled meanwhile. There are about as many of them as decide about a p99.
        """
        with _without_collections():
            return asyncio.run(self._measure(lives))

    async def _measure(self, lives: int) -> tuple[Sequence[float], float]:
        async with aio.insecure_channel(f"127.0.0.1:{self._program.port}") as channel:
            stub: Any = AreaSupervisorServiceStub(channel)
            await _live(stub, self._new(round(lives * _WARM_UP)))
            before = cpu_seconds(self._program.pid)
            took = await _live(stub, self._new(lives))
            return took, (cpu_seconds(self._program.pid) - before) / lives

    def _new(self, lives: int) -> Sequence[str]:
        return [identifier_of(next(self._numbers)) for _ in range(lives)]


@contextmanager
def _without_collections() -> Iterator[None]:
    """Without pauses of this process, which would count as those of a launch."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _live(stub: Any, identifiers: Sequence[str]) -> Sequence[float]:
    began, lives = time.perf_counter(), []
    for turn, identifier in enumerate(identifiers):
        due = began + turn / _LIVES_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        lives.append(asyncio.create_task(_one(stub, identifier)))
    return await asyncio.gather(*lives)


async def _one(stub: Any, identifier: str) -> float:
    """Launch a job and kill it. Returns the seconds of the launch."""
    began = time.perf_counter()
    answer = await stub.LaunchJob(launch_of(identifier))
    took = time.perf_counter() - began
    if Response() != answer or Response() != await stub.KillJob(JobId(identifier=identifier)):
        raise RuntimeError(f"{identifier}: a call was refused")
    return took


def measure(bench: Bench) -> Result:
    """Measure launches with and without watchers, in rounds, with new processes after a few."""
    found, watchers = Rounds(), bench.size(1_000, 100)
    watched = f"{watchers:,} watch"
    generations = bench.size(_GENERATIONS, 1)
    for number in range(generations):
        text = f"watch, {number + 1} of {generations}"
        _measure_processes(bench, found, {NOBODY: 0, watched: watchers, NOBODY + AGAIN: 0}, text)
    for alone, beside in zip(found.values(_CPU, NOBODY), found.values(_CPU, watched), strict=True):
        cost = (beside - alone) / (_CHANGES * watchers)
        found.add(_COST, watched, cost * 1000)
    goals = {watched: _GOAL}
    rows = found.rows(_P99, "ms", baseline=NOBODY, goals=goals)
    rows += [*found.rows(_P50, "ms", baseline=NOBODY), *found.rows(_CPU, "ms", baseline=NOBODY)]
    return Result("watch", rows + found.rows(_COST, "µs"))


def _measure_processes(bench: Bench, found: Rounds, watchers: Mapping[str, int], text: str) -> None:
    with ExitStack() as stack:
        contenders = {who: Watched(stack) for who in watchers}
        for who in bench.rounds(list(contenders), bench.size(6, 2), text):
            with contenders[who].watchers(watchers[who]):
                took, cpu = contenders[who].measure(bench.size(500, 50))
            found.add(_P99, who, percentile(took, 99) * 1000)
            found.add(_P50, who, percentile(took, 50) * 1000)
            found.add(_CPU, who, cpu * 1000)
