"""What the history costs: processor time of a launch, and memory and disk of an ended job."""

import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measurements.growth import Grown
from benchmarks.measurements.watch import Watched
from benchmarks.result import AGAIN, Goal, Result, Rounds

NOTHING, MEMORY, FILE = "nothing kept", "in memory", "in a file"
_CPU, _COST = "CPU time, launch and end", "of it for the history"
_ALONE, _ALONE_COST = "CPU time, an end alone", "of it for the history, alone"
_MEMORY, _DISK = "memory for each ended job", "file for each ended job"
_GOAL = Goal(0.1, absolute=True)  # milliseconds
_KEPT = 10_000  # as many as memory has room for
_AT_ONCE = 100
_PER_SECOND = 25  # ends, as in the launches and kills


def measure(bench: Bench) -> Result:
    """Launch and kill jobs in rounds; let jobs end where nothing else happens, and many at once."""
    found, again = Rounds(), NOTHING + AGAIN
    with ExitStack() as stack:
        contenders = {
            who: Watched(stack, settings=_settings(who, bench.directory))
            for who in (NOTHING, MEMORY, FILE)
        }
        contenders[again] = Watched(stack, settings=_settings(NOTHING, bench.directory))
        for who in bench.rounds(list(contenders), bench.size(8, 2), "history"):
            _, cpu = contenders[who].measure(bench.size(250, 25))
            found.add(_CPU, who, cpu * 1000)
    for who in bench.rounds([NOTHING, MEMORY, FILE, again], bench.size(8, 2), "history, alone"):
        file = bench.directory / f"alone-{len(found.values(_ALONE, who))}.sqlite"
        found.add(_ALONE, who, _alone(who, file, bench.size(125, 25)) * 1000)
    for total, cost in ((_CPU, _COST), (_ALONE, _ALONE_COST)):
        for who in (MEMORY, FILE, again):
            for without, kept in zip(
                found.values(total, NOTHING), found.values(total, who), strict=True
            ):
                found.add(cost, who, kept - without)
    for who in bench.rounds([NOTHING, MEMORY, FILE], bench.size(4, 1), "history, room"):
        _measure_room(bench, who, found)
    rows = found.rows(_CPU, "ms", baseline=NOTHING)
    rows += found.rows(_COST, "ms")
    rows += found.rows(_ALONE_COST, "ms", goals={MEMORY: _GOAL, FILE: _GOAL})
    return Result("history", [*rows, *found.rows(_MEMORY, "bytes"), *found.rows(_DISK, "bytes")])


def _settings(who: str, directory: Path) -> Mapping[str, str]:
    if who == FILE:
        return {"HISTORY_FILE": str(directory / "history.sqlite")}
    return {"HISTORY_MOST": "0"} if who == NOTHING else {}


def _alone(who: str, file: Path, ends: int) -> float:
    """Seconds of CPU time of an end, in a process in which nothing else happens."""
    command = [sys.executable, "-m", "benchmarks.servers.ends"]
    command += [str(ends), str(_PER_SECOND)]
    if who in {MEMORY, FILE}:
        command.append("--kept")
    if who == FILE:
        command += ["--file", str(file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])  # after what it logs


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
