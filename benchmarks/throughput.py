"""Calls per second, and CPU time per call, of several servers in turn."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.bench import Bench
from benchmarks.calls import Call
from benchmarks.processes import Program, cpu_seconds
from benchmarks.result import Rounds
from benchmarks.servers.layers import Layer

SAMPLED, UNSAMPLED, UNTRACED = "sampled", "unsampled", ""
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
_HEADERS = {
    SAMPLED: {"traceparent": f"{_TRACE}-01"},
    UNSAMPLED: {"traceparent": f"{_TRACE}-00"},
    UNTRACED: {},
}


@dataclass(frozen=True, slots=True)
class Server:
    """The port and the process of a server, and what it is shown with each call."""

    port: int
    pid: int
    tls: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """A load for servers: the call, its options, and the names of the rows."""

    call: Call
    trace: str = UNTRACED

    @property
    def headers(self) -> Mapping[str, str]:
        """The metadata of each call."""
        return _HEADERS[self.trace]

    @property
    def rate(self) -> str:
        """The name of the row with calls per second."""
        return ", ".join(filter(None, (self.call.name, self.trace)))

    @property
    def cpu(self) -> str:
        """The name of the row with CPU time per call."""
        return f"CPU time, {self.rate}"


@contextmanager
def collected(bench: Bench) -> Iterator[dict[str, str]]:
    """Variables that make a process export its spans."""
    with Program("benchmarks.servers.sink", log=bench.directory / "sink.log") as sink:
        yield {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.port}"}


@contextmanager
def layered(
    bench: Bench, layer: Layer, exporting: Mapping[str, str] | None = None, *, tls: bool = False
) -> Iterator[Server]:
    """A server of one kind, whose log goes to a file."""
    log = bench.directory / f"{layer}.log"
    words = [layer, *(["--tls"] if tls else [])]
    with Program("benchmarks.servers.layers", *words, environment=exporting, log=log) as program:
        yield Server(program.port, program.pid, tls)


def take_turns(
    bench: Bench,
    servers: Mapping[str, Server],
    load: Load,
    text: str,
    rounds: int,
    *,
    calls: int = 4000,
) -> Rounds:
    """Calls per second, and microseconds of CPU time per call, with so many calls in a turn."""
    found = Rounds()
    calls = bench.size(calls, 400)
    for server in servers.values():  # warm up
        headers = {**load.headers, **server.headers}
        bench.h2load.rate(server.port, load.call, calls // 4, headers, tls=server.tls)
    for who in bench.rounds(list(servers), rounds, f"{text}: {load.rate}"):
        server = servers[who]
        headers = {**load.headers, **server.headers}
        before = cpu_seconds(server.pid)
        rate = bench.h2load.rate(server.port, load.call, calls, headers, tls=server.tls)
        found.add(load.rate, who, rate)
        found.add(load.cpu, who, (cpu_seconds(server.pid) - before) / calls * 1e6)
    return found
