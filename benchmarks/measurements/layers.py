"""The cost of each layer in a dedup: servers that each have one layer more."""

from contextlib import ExitStack
from itertools import pairwise

import grpc

from benchmarks.bench import Bench
from benchmarks.calls import DEDUP, identifier_of, launch_of
from benchmarks.result import AGAIN, Result, Rounds, Row
from benchmarks.servers.layers import Layer
from benchmarks.throughput import SAMPLED, UNSAMPLED, Load, Server, collected, layered, take_turns
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub

BASE = "bare grpc.aio"
ADDS = "adds to the "
_LAYERS = {
    BASE: Layer.BARE,
    "tracing": Layer.TRACING,
    "uvloop": Layer.LOOP,
    "metrics": Layer.METRICS,
    "servicer and registry": Layer.SERVICE,
    "logging": Layer.LOGS,
    "logging" + AGAIN: Layer.LOGS,
}


def measure(bench: Bench) -> Result:
    """Measure a dedup, sampled and unsampled, at each server, in rounds."""
    rows: list[Row] = []
    with ExitStack() as stack:
        exporting = stack.enter_context(collected(bench))
        servers = {
            name: stack.enter_context(layered(bench, layer, exporting))
            for name, layer in _LAYERS.items()
        }
        for server in servers.values():
            _launch(server)
        for load in (Load(DEDUP, SAMPLED), Load(DEDUP, UNSAMPLED)):
            found = take_turns(bench, servers, load, "layers", bench.size(14, 2))
            rows += found.rows(load.rate, "1/s", baseline=BASE)
            rows += found.rows(load.cpu, "µs", baseline=BASE)
            rows += _added(found, load)
    return Result("layers", rows)


def _launch(server: Server) -> None:
    """Launch the job first where there is a real service, so that all measured calls are dedups."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        AreaSupervisorServiceStub(channel).LaunchJob(launch_of(identifier_of(0)))


def _added(found: Rounds, load: Load) -> list[Row]:
    """The additional CPU time of each layer, round by round."""
    added = Rounds()
    what = ADDS + load.cpu
    for before, after in pairwise(_LAYERS):
        pairs = zip(found.values(load.cpu, before), found.values(load.cpu, after), strict=True)
        for less, more in pairs:
            added.add(what, after, more - less)
    return added.rows(what, "µs")
