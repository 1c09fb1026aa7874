"""Calls that need no Engine, beside empty handlers with and without OpenTelemetry."""

from contextlib import ExitStack

from benchmarks.bench import Bench, launch
from benchmarks.calls import DEDUP, HEALTH, LIST_JOBS, LISTED_JOBS, identifier_of
from benchmarks.contenders import SUPERVISOR
from benchmarks.result import AGAIN, Goal, Result, Rounds, Row
from benchmarks.servers.layers import Layer
from benchmarks.throughput import (
    SAMPLED,
    UNSAMPLED,
    Load,
    Server,
    collected,
    layered,
    take_turns,
)
from tests.support.supervised import Supervised

BARE = "bare grpc.aio"
TRACED = "with OpenTelemetry"
_LOADS = (
    Load(DEDUP, SAMPLED),
    Load(DEDUP, UNSAMPLED),
    Load(LIST_JOBS, SAMPLED),
    Load(LIST_JOBS, UNSAMPLED),
    Load(HEALTH),
)
_GOAL = Goal(0.85, at_least=True)


# Two processes of one kind differ by some per cent as long as they run, hence new processes.
_GENERATIONS = 5


def measure(bench: Bench) -> Result:
    """Measure each call at each server, in rounds, with new processes after every few rounds."""
    found = Rounds()
    generations = bench.size(_GENERATIONS, 1)
    for number in range(generations):
        _measure_processes(bench, found, f"calls, {number + 1} of {generations}")
    rows: list[Row] = []
    for load in _LOADS:
        goals = dict.fromkeys([SUPERVISOR, *bench.beside], _GOAL) if load.call is DEDUP else {}
        rows += found.rows(load.rate, "1/s", baseline=TRACED, goals=goals)
        rows += found.rows(load.cpu, "µs", baseline=TRACED)
    return Result("dedup", rows)


def _measure_processes(bench: Bench, found: Rounds, text: str) -> None:
    with ExitStack() as stack:
        exporting = stack.enter_context(collected(bench))
        supervised = stack.enter_context(bench.supervisor(**exporting))
        ours = {SUPERVISOR: supervised, **stack.enter_context(bench.others(**exporting))}
        servers = {
            TRACED: stack.enter_context(layered(bench, Layer.TRACING, exporting)),
            **{who: _with_jobs(each) for who, each in ours.items()},
            BARE: stack.enter_context(layered(bench, Layer.BARE, exporting)),
            TRACED + AGAIN: stack.enter_context(layered(bench, Layer.TRACING, exporting)),
        }
        for load in _LOADS:
            found.extend(take_turns(bench, servers, load, text, bench.size(4, 2)))
        for each in ours.values():
            _check(each)


def _with_jobs(supervised: Supervised) -> Server:
    for number in range(LISTED_JOBS):
        launch(supervised.stub, identifier_of(number))
    return Server(supervised.port, supervised.pid)


def _check(supervised: Supervised) -> None:
    """Check that every call was answered, and that every LaunchJob but the first was a dedup."""
    scrape = supervised.scrape()
    begun = scrape.sum("grpc_server_call_started_total")
    answered = scrape.sum("grpc_server_call_duration_seconds_count", grpc_status="OK")
    dedups = scrape.sum("supervisor_dedups_total")
    if begun != answered or dedups != supervised.calls("LaunchJob") - LISTED_JOBS:
        raise RuntimeError(f"{begun} calls, {answered} were answered, {dedups} were dedups")
