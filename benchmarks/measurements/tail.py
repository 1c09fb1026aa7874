"""The slowest calls during 64 launches, beside those of an empty server."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count

from benchmarks.bench import Bench, launch
from benchmarks.calls import DEDUP, HEALTH, Call, identifier_of
from benchmarks.contenders import SUPERVISOR
from benchmarks.h2load import Paced
from benchmarks.result import AGAIN, Goal, Result, Rounds, Row
from benchmarks.servers.layers import Layer
from benchmarks.stats import percentile
from benchmarks.throughput import layered
from tests.support.supervised import Supervised, eventually

BARE = "bare grpc.aio"
_LAUNCHES = 64
_CALLS = (HEALTH, DEDUP)
_PER_SECOND = 100
_GOAL = Goal(2.0)
_SETTLE = 1.0


def measure(bench: Bench) -> Result:
    """Call all servers at a constant rate during the launches, in rounds."""
    found = Rounds()
    with ExitStack() as stack:
        supervised = stack.enter_context(bench.supervisor())
        ports = {
            BARE: stack.enter_context(layered(bench, Layer.BARE)).port,
            SUPERVISOR: supervised.port,
            BARE + AGAIN: stack.enter_context(layered(bench, Layer.BARE)).port,
        }
        for _ in bench.rounds([None], bench.size(15, 2), "tail"):
            _round(bench, supervised, ports, found)
    return Result("tail", [row for call in _CALLS for row in _rows(found, call)])


def _rows(found: Rounds, call: Call) -> list[Row]:
    rows = found.rows(_p99(call), "ms", baseline=BARE, goals={SUPERVISOR: _GOAL})
    return [*rows, *found.rows(_p50(call), "ms", baseline=BARE)]


def _round(bench: Bench, supervised: Supervised, ports: dict[str, int], found: Rounds) -> None:
    launch(supervised.stub, identifier_of(0))
    with _launching(supervised):
        calls = bench.size(400, 100)
        for (call, who), paced in _all_at_once(bench, ports, calls).items():
            took = paced.seconds()
            found.add(_p99(call), who, percentile(took, 99) * 1000)
            found.add(_p50(call), who, percentile(took, 50) * 1000)
    supervised.kill_all()
    time.sleep(_SETTLE)


def _all_at_once(bench: Bench, ports: dict[str, int], calls: int) -> dict[tuple[Call, str], Paced]:
    return {
        (call, who): bench.h2load.paced(port, call, calls, _PER_SECOND)
        for who, port in ports.items()
        for call in _CALLS
    }


@contextmanager
def _launching(supervised: Supervised) -> Iterator[None]:
    """Keep this many launches under way during the block; then wait for the last."""
    numbers = count(1)
    ended = threading.Event()
    arrived = supervised.calls("LaunchJob")

    def launch_on() -> None:
        while not ended.is_set():
            launch(supervised.stub, identifier_of(next(numbers)))

    with ThreadPoolExecutor(_LAUNCHES) as pool:
        launching = [pool.submit(launch_on) for _ in range(_LAUNCHES)]
        try:
            eventually(lambda: supervised.calls("LaunchJob") >= arrived + _LAUNCHES)
            yield
        finally:
            ended.set()
    for each in launching:
        each.result()


def _p99(call: Call) -> str:
    return f"p99, {call.name}"


def _p50(call: Call) -> str:
    return f"p50, {call.name}"
