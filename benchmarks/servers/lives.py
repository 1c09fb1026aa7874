"""A process that launches and kills jobs through the core, and keeps their ends or not.

    python -m benchmarks.servers.lives ROUNDS LIVES FOLDER

There is a core for each way to keep them. They take turns, job by job: two processes of the same
program differ by more than a history costs, and so do two seconds of one process. A life is the
launch and the kill of a job. After each round it prints a line for each way: the way, a tab, and
the seconds of CPU time for each life.
"""

import asyncio
import secrets
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.calls import ACTION, spec_of
from benchmarks.result import AGAIN
from benchmarks.servers.instant_engine import InstantEngine
from benchmarks.servers.service import CATALOG, new_metrics
from benchmarks.stats import interleaved
from observability.logs import configure_logs
from observability.tracing import configure_tracing
from service.app import event_loop
from service.app.wiring import Core
from service.history.file import HistoryFile
from service.history.kept import Entry
from service.jobs.model import Job
from service.settings import Settings
from tests.unit.history.ends import an_end

NOTHING, MEMORY, FILE, FULL = "nothing kept", "in memory", "in a file", "in a full file"
_WAYS = (NOTHING, MEMORY, FILE, FULL, NOTHING + AGAIN)
_PER_SECOND = 25  # lives of each way
_WARM_UP = 50
_WRITTEN = 2.0  # seconds, in which all ends are written
_AT_ONCE = 10_000


class _KeepsNothing(Core):
    """A core that does not pass the ends of its jobs to the history."""

    def _keep_ended(self, job: Job) -> None:
        del job


class _Contender:
    """A core, on an engine that answers at once."""

    def __init__(self, way: str, folder: Path) -> None:
        self._way, self._keeps = way, way not in (NOTHING, NOTHING + AGAIN)
        path = folder / f"{way}.sqlite" if way in (FILE, FULL) else None
        settings = Settings.model_validate({"go_env": "production", "history_file": path})
        if path and way == FULL:
            _fill(path, settings.history_most)
        kind = Core if self._keeps else _KeepsNothing
        self._core = kind(InstantEngine(), CATALOG, new_metrics(), settings)
        self._in_loop, self._last = 0.0, ""

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of its lives, and of the thread that writes them."""
        return self._in_loop + sum(map(time.clock_gettime, self._clocks))

    async def start(self) -> None:
        """Return once jobs can be launched and are kept."""
        others = set(threading.enumerate())
        self._core.history.start()
        writers = set(threading.enumerate()) - others
        self._clocks = [time.pthread_getcpuclockid(each.ident or 0) for each in writers]
        self._watching = asyncio.create_task(self._core.watcher.run())
        await self._core.readiness.wait_listed()
        await self._core.history.find(launch_id="none")  # waits for the file

    async def live(self, until: float) -> None:
        """Launch and kill a job, then wait. All CPU time of the loop until then counts for it."""
        began = time.thread_time()
        self._last = secrets.token_hex(8)
        await self._core.supervisor.launch(spec_of(self._last, ACTION))
        await self._core.supervisor.kill(self._last)
        await asyncio.sleep(max(0.0, until - time.perf_counter()))
        self._in_loop += time.thread_time() - began

    async def close(self) -> None:
        """Close the file. Raise if the ends were not kept as they should be."""
        history = self._core.history
        found = await history.find(identifier=self._last)
        if history.fault or bool(found) is not self._keeps:
            raise RuntimeError(f"{self._way}: {found}, {history.fault}")
        self._watching.cancel()
        await history.close(within=5)


def main(
    rounds: Annotated[int, typer.Argument()],
    lives: Annotated[int, typer.Argument()],
    folder: Annotated[Path, typer.Argument()],
) -> None:
    """Measure the ways in rounds."""
    configure_logs(level="info", console=False, write=len)
    configure_tracing("bench", "0", "bench")
    event_loop.run(_measure(rounds, lives, folder))


async def _measure(rounds: int, lives: int, folder: Path) -> None:
    contenders = {way: _Contender(way, folder) for way in _WAYS}
    for each in contenders.values():
        await each.start()
    event_loop.tune_garbage_collection()
    await _live(contenders, _WARM_UP)
    for _ in range(rounds):
        before = {way: each.cpu_seconds for way, each in contenders.items()}
        await _live(contenders, lives)
        for way, each in contenders.items():
            print(way, (each.cpu_seconds - before[way]) / lives, sep="\t")
    await asyncio.sleep(_WRITTEN)
    for each in contenders.values():
        await each.close()


async def _live(contenders: dict[str, _Contender], lives: int) -> None:
    began, pause = time.perf_counter(), 1 / (_PER_SECOND * len(contenders))
    for turn, way in enumerate(interleaved(_WAYS, lives), 1):
        await contenders[way].live(began + turn * pause)


def _fill(path: Path, rows: int) -> None:
    """Make a file of jobs that have ended just now."""
    file, first = HistoryFile(path), time.time_ns() // 1000 - rows
    for begin in range(0, rows, _AT_ONCE):
        file.write([Entry(first + n, _ended(n)) for n in range(begin, begin + _AT_ONCE)])
    file.close()


def _ended(number: int) -> Job:
    """A job whose row has the usual size, and places anywhere in the indexes."""
    job = an_end(number, identifier=secrets.token_hex(8), workload_id=secrets.token_hex(32))
    return replace(job, launch_id=secrets.token_hex(8))


if __name__ == "__main__":
    typer.run(main)
