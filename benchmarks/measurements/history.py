"""What the history costs: processor time of a launch, and memory and disk of an ended job."""

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measurements.growth import Grown
from benchmarks.result import AGAIN, Goal, Result, Rounds
from benchmarks.servers.lives import FILE, FULL, MEMORY, NOTHING

_CPU, _COST = "CPU time, launch and end, without gRPC", "of it for the history"
_MEMORY, _DISK = "memory for each ended job", "file for each ended job"
_GOAL = Goal(0.1, absolute=True)  # milliseconds
_GENERATIONS = 5  # new processes after every few rounds
_KEPT = 10_000  # as many as memory has room for
_AT_ONCE = 100


def measure(bench: Bench) -> Result:
    """Launch and kill jobs in rounds, whose ends are kept or not; let many end at once."""
    found = Rounds()
    for _ in bench.rounds([None], bench.size(_GENERATIONS, 1), "history"):
        _measure_process(bench, found)
    for who in (MEMORY, FILE, FULL, NOTHING + AGAIN):
        for without, kept in zip(found.values(_CPU, NOTHING), found.values(_CPU, who), strict=True):
            found.add(_COST, who, kept - without)
    for who in bench.rounds([NOTHING, MEMORY, FILE], bench.size(4, 1), "history, room"):
        _measure_room(bench, who, found)
    rows = found.rows(_CPU, "ms", baseline=NOTHING)
    rows += found.rows(_COST, "ms", goals=dict.fromkeys((MEMORY, FILE, FULL), _GOAL))
    return Result("history", [*rows, *found.rows(_MEMORY, "bytes"), *found.rows(_DISK, "bytes")])


def _measure_process(bench: Bench, found: Rounds) -> None:
    command = [sys.executable, "-m", "benchmarks.servers.lives"]
    command += [str(bench.size(8, 1)), str(bench.size(100, 25))]
    with tempfile.TemporaryDirectory(dir=bench.directory) as folder:
        done = subprocess.run([*command, folder], check=True, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        who, seconds = line.split("\t")
        found.add(_CPU, who, float(seconds) * 1000)


def _settings(who: str, directory: Path) -> Mapping[str, str]:
    if who == FILE:
        return {"HISTORY_FILE": str(directory / "history.sqlite")}
    return {"HISTORY_MOST": "0"} if who == NOTHING else {}


def _measure_room(bench: Bench, who: str, found: Rounds) -> None:
    with ExitStack() as stack:
        folder = bench.directory / f"{who}-{len(found.values(_MEMORY, who))}"
        folder.mkdir()
        grown = Grown(stack, 0, _settings(who, folder))
        _let_end(grown, _AT_ONCE)
        before = grown.ask("memory")
        _let_end(grown, bench.size(_KEPT, 1000))
        found.add(_MEMORY, who, (grown.ask("memory") - before) / bench.size(_KEPT, 1000))
    if who == FILE:
        found.add(_DISK, who, _bytes_of_a_row(folder / "history.sqlite"))


def _bytes_of_a_row(path: Path) -> float:
    """What the file has for each of the jobs that were written before the end of the process."""
    with closing(sqlite3.connect(path)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM ended").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return float(path.stat().st_size / rows)


def _let_end(grown: Grown, jobs: int) -> None:
    for _ in range(0, jobs, _AT_ONCE):
        grown.ask("launch", _AT_ONCE)
        grown.ask("exit", _AT_ONCE)
