"""The time to SERVING, the memory with and without jobs, and the CPU time of start and launch."""

import subprocess
import sys
import time
from contextlib import ExitStack

from benchmarks.bench import Bench, launch
from benchmarks.calls import identifier_of
from benchmarks.contenders import SUPERVISOR
from benchmarks.measurements.growth import Grown
from benchmarks.processes import cpu_seconds, resident_bytes, wait_for_port
from benchmarks.result import Goal, Result, Rounds
from tests.support.supervised import Supervised

PYTHON = "Python alone"
LIBRARIES = "Python, and the libraries imported"
_IMPORTS = (
    "import docker, grpc.aio, grpc_health.v1.health_pb2_grpc, grpc_reflection.v1alpha.reflection,"
    " opentelemetry.instrumentation.grpc, opentelemetry.sdk.trace.export, prometheus_client,"
    " pydantic_settings, structlog, typer"
)
_START, _START_CPU, _LAUNCH_CPU = "start to SERVING", "CPU time of a start", "CPU time of a launch"
_MEMORY = "resident memory"
_GOAL = Goal(0.6, absolute=True)
_POLL = 0.002
_IDLE = 2.0
_MIB = 2**20


def measure(bench: Bench) -> Result:
    """Start, measure and stop in rounds; then measure services with many jobs."""
    found = Rounds()
    for who in bench.rounds([PYTHON, LIBRARIES, SUPERVISOR], bench.size(12, 2), "footprint"):
        if who == SUPERVISOR:
            _start(bench, found)
        else:
            _run("pass" if who == PYTHON else _IMPORTS, who, found)
    with ExitStack() as stack:
        for jobs in (0, 1_000, 10_000):
            grown = Grown(stack, jobs)
            found.add(_MEMORY, f"{jobs:,} jobs, no Docker", grown.ask("memory") / _MIB)
    return Result(
        "footprint",
        [
            *found.rows(_START, "s", goals={SUPERVISOR: _GOAL}),
            *found.rows(_START_CPU, "s"),
            *found.rows(_LAUNCH_CPU, "ms"),
            *found.rows(_MEMORY, "MiB"),
        ],
    )


def _run(code: str, who: str, found: Rounds) -> None:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    found.add(_START, who, time.perf_counter() - began)


def _start(bench: Bench, found: Rounds) -> None:
    supervised = bench.new_supervisor()
    began = time.perf_counter()
    with ExitStack() as stack:
        stack.push(supervised.start(ready=False))
        pid = _wait_until_serving(supervised)
        found.add(_START, SUPERVISOR, time.perf_counter() - began)
        found.add(_START_CPU, SUPERVISOR, cpu_seconds(pid))
        time.sleep(_IDLE)
        found.add(_MEMORY, f"{SUPERVISOR}, idle", resident_bytes(pid) / _MIB)
        found.add(_LAUNCH_CPU, SUPERVISOR, _launch(supervised, pid, bench.size(32, 8)) * 1000)
        supervised.kill_all()


def _wait_until_serving(supervised: Supervised) -> int:
    """Its process."""
    assert supervised.process is not None
    wait_for_port(supervised.port, supervised.process)
    while supervised.health() != "SERVING":
        time.sleep(_POLL)
    return supervised.process.pid


def _launch(supervised: Supervised, pid: int, launches: int) -> float:
    """The CPU time per launch, in a new process."""
    before = cpu_seconds(pid)
    for number in range(launches):
        launch(supervised.stub, identifier_of(number))
    return (cpu_seconds(pid) - before) / launches
