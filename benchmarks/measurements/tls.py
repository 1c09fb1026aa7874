"""What TLS costs: a dedup with TLS beside one without, and beside empty handlers of both kinds."""

from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.calls import DEDUP
from benchmarks.contenders import SUPERVISOR
from benchmarks.result import AGAIN, Result, Rounds, Row
from benchmarks.servers.layers import Layer
from benchmarks.throughput import UNSAMPLED, Load, layered, take_turns

BARE = "bare grpc.aio"
WITH_TLS = " with TLS"
ADDS = "TLS adds to the "
_SERVERS = {
    BARE: Layer.BARE,
    BARE + WITH_TLS: Layer.BARE,
    SUPERVISOR: Layer.LOGS,
    SUPERVISOR + WITH_TLS: Layer.LOGS,
    BARE + WITH_TLS + AGAIN: Layer.BARE,
}


def measure(bench: Bench) -> Result:
    """Measure a dedup at each server, in rounds, over one connection."""
    load = Load(DEDUP, UNSAMPLED)
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(layered(bench, layer, tls=WITH_TLS in name))
            for name, layer in _SERVERS.items()
        }
        found = take_turns(bench, servers, load, "tls", bench.size(14, 2))
    rows = found.rows(load.rate, "1/s", baseline=BARE + WITH_TLS)
    rows += found.rows(load.cpu, "µs", baseline=BARE + WITH_TLS)
    return Result("tls", [*rows, *_added(found, load)])


def _added(found: Rounds, load: Load) -> list[Row]:
    """The additional CPU time of a call with TLS, round by round."""
    added = Rounds()
    what = ADDS + load.cpu
    for who in (BARE, SUPERVISOR):
        plain, secured = (found.values(load.cpu, each) for each in (who, who + WITH_TLS))
        for less, more in zip(plain, secured, strict=True):
            added.add(what, who, more - less)
    return added.rows(what, "µs")
