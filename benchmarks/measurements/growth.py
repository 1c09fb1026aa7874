"""The cost of calls by the number of jobs, on an engine that costs nothing."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from urllib.request import urlopen

import grpc
from google.protobuf.empty_pb2 import Empty

from benchmarks.bench import Bench
from benchmarks.processes import Program
from benchmarks.result import AGAIN, Goal, Result, Rounds, Row
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from tests.support.supervised import free_port

SIZES = (0, 1_000, 10_000, 100_000)
# An answer with 100,000 jobs is larger than a client's default limit (4 MiB).
_LIMIT = [("grpc.max_receive_message_length", 64 * 2**20)]
_FLAT = Goal(1.2)
_LINEAR = Goal(10)  # the largest has ten times the jobs of the one before
_STALL = Goal(10, absolute=True)  # milliseconds
_AT_REST = {f"{jobs:,} jobs": _STALL for jobs in SIZES[2:]}
_AT_ONCE = 100  # launches and exits of a round
_DEDUPS = 500


class Grown:
    """A service with many jobs, in its own process."""

    def __init__(
        self, stack: ExitStack, jobs: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.metrics_port = free_port()
        program = Program(
            "benchmarks.servers.grown", str(self.metrics_port), environment=environment
        )
        self._process = stack.enter_context(program).process
        channel = grpc.insecure_channel(f"127.0.0.1:{program.port}", _LIMIT)
        self._stub = AreaSupervisorServiceStub(stack.enter_context(closing(channel)))
        self.bytes_per_job = self.ask("fill", jobs)
        self.list_jobs()  # the first call also connects

    def ask(self, command: str, number: int = 0) -> float:
        """A figure that the service has measured."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command} {number}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def list_jobs(self) -> None:
        """ListJobs."""
        self._stub.ListJobs(Empty(), timeout=60)

    def scrape(self) -> None:
        """All metrics."""
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=60) as answer:
            answer.read()


def measure(bench: Bench) -> Result:
    """Call services of each size, in rounds."""
    found, rest, memory = Rounds(), Rounds(), Rounds()
    sizes = SIZES[:-1] if bench.quick else SIZES
    with ExitStack() as stack:
        entrants = {_jobs(size): Grown(stack, size) for size in sizes}
        entrants[_jobs(0) + AGAIN] = Grown(stack, 0)
        for who in bench.rounds(list(entrants), bench.size(20, 3), "growth"):
            _ask(entrants[who], who, found)
        # Two comparisons first: they note the image of each job that was launched, and forget how
        # the jobs were before. A hundred thousand launches in half a minute are no rest.
        time.sleep(bench.size(70, 1))
        for _ in bench.rounds([None], bench.size(3, 1), "growth, at rest"):
            _rest(entrants, bench.size(35, 1), rest)
        for size in sizes[1:]:
            memory.add("memory for each job", _jobs(size), entrants[_jobs(size)].bytes_per_job)
    rows = _rows(found, before=_jobs(sizes[-2]), largest=_jobs(sizes[-1]))
    rows += rest.rows("longest stall, at rest", "ms", goals=_AT_REST)
    return Result("growth", rows + memory.rows("memory for each job", "bytes"))


def _ask(grown: Grown, who: str, found: Rounds) -> None:
    found.add("launch", who, grown.ask("launch", _AT_ONCE) * 1e6)
    found.add("dedup", who, grown.ask("dedup", _DEDUPS) * 1e6)
    found.add("exit", who, grown.ask("exit", _AT_ONCE) * 1e6)
    acts: dict[str, Callable[[], None]] = {"ListJobs": grown.list_jobs, "scrape": grown.scrape}
    for what, act in acts.items():
        grown.ask("watch")
        began = time.perf_counter()
        act()
        found.add(what, who, (time.perf_counter() - began) * 1000)
        found.add(f"longest stall, {what}", who, grown.ask("stall") * 1000)


def _rest(entrants: Mapping[str, Grown], seconds: int, found: Rounds) -> None:
    """Measure stalls without calls, while the supervisor compares its jobs with the Engine's."""
    for grown in entrants.values():
        grown.ask(
            "fill", 0
        )  # collects garbage, which is due whenever the jobs have grown by a quarter
        grown.ask("watch")
    time.sleep(seconds)
    for who, grown in entrants.items():
        found.add("longest stall, at rest", who, grown.ask("stall") * 1000)


def _rows(found: Rounds, *, before: str, largest: str) -> list[Row]:
    rows: list[Row] = []
    for what in ("launch", "dedup", "exit"):
        rows += found.rows(what, "µs", baseline=_jobs(0), goals={largest: _FLAT})
    for what in ("ListJobs", "scrape"):
        rows += found.rows(what, "ms", baseline=before, goals={largest: _LINEAR})
        rows += found.rows(f"longest stall, {what}", "ms", goals={_jobs(10_000): _STALL})
    return rows


def _jobs(number: int) -> str:
    return f"{number:,} jobs"
