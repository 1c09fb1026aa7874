"""The time that clients wait during a restart, with causes that may delay the old process."""

import signal
import time
from contextlib import ExitStack

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from benchmarks.bench import Bench, launch
from benchmarks.calls import identifier_of
from benchmarks.processes import listens, wait_for_port
from benchmarks.result import Result, Rounds
from tests.support.collector import collecting
from tests.support.supervised import Supervised

ALONE = "supervisor"
WATCHED = "supervisor, an open health watch"
HANGING = "supervisor, a collector that hangs"
_WHOLE = "SIGTERM to the first answer of the next process"
_UNHEARD = "nobody listens"
_POLL = 0.002
_PATIENCE = 30.0


def measure(bench: Bench) -> Result:
    """Restart with `adopt` and one job, in rounds."""
    found = Rounds()
    for who in bench.rounds([ALONE, WATCHED, HANGING], bench.size(12, 2), "restart"):
        with ExitStack() as stack:
            supervised = _start(bench, who, stack)
            launch(supervised.stub, identifier_of(0))
            whole, unheard = _restart(supervised)
            found.add(_WHOLE, who, whole)
            found.add(_UNHEARD, who, unheard)
            supervised.kill_all()
    return Result("restart", [*found.rows(_WHOLE, "s"), *found.rows(_UNHEARD, "s")])


def _start(bench: Bench, who: str, stack: ExitStack) -> Supervised:
    environment = {"SUPERVISOR_ON_START": "adopt"}
    if who == HANGING:
        collector = stack.enter_context(collecting(hangs=True))
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.address
    supervised = stack.enter_context(bench.new_supervisor(**environment))
    if who == WATCHED:
        watch = supervised.health_stub.Watch(HealthCheckRequest())  # type: ignore[attr-defined]
        next(watch)
    return supervised


def _restart(supervised: Supervised) -> tuple[float, float]:
    """The time until the new process answers, and the part of it without a listening port."""
    began = heard = time.perf_counter()
    assert supervised.process is not None
    supervised.process.send_signal(signal.SIGTERM)
    while supervised.process.poll() is None:
        if listens(supervised.port):
            heard = time.perf_counter()
        time.sleep(_POLL)
    supervised.start(ready=False)
    wait_for_port(supervised.port, supervised.process)
    _first_answer(supervised.port)
    answered = time.perf_counter()
    return answered - began, answered - heard


def _first_answer(port: int) -> None:
    """Ask over a new connection: an old one waits before it reconnects."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        check = HealthStub(channel).Check  # type: ignore[attr-defined]
        request = HealthCheckRequest(service="liveness")
        check(request, timeout=_PATIENCE, wait_for_ready=True)
