"""What a supervisor's process may have, and where its log goes, while it runs."""

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tests.support.pids import Group, a_group_of
from tests.support.tap import Tap

Means: TypeAlias = Literal["threads", "files"]

FEW_THREADS, FEW_FILES = 32, 128
_MANY_THREADS = 10_000


class Surroundings:
    """Of one process after the other. Make it with `surroundings`."""

    def __init__(self, group: Group) -> None:
        self.tap: Tap | None = None
        """Who reads the log, if anybody does."""
        self._group = group
        self._threads = _MANY_THREADS
        self._log: Path | None = None

    @contextmanager
    def output(self, log: Path, *, full: bool) -> Iterator[Any]:
        """Where the next process' log goes: to a file by way of a pipe, or to a full disk."""
        self._log = log
        if full:
            self.tap = None
            log.touch()
            with Path("/dev/full").open("wb") as disk:
                yield disk
        else:
            self.tap = Tap(log)
            with self.tap.writer() as writing:
                yield writing

    def dropped_lines_told(self) -> int | None:
        """How many lines the log says are missing; None where all of it is lost."""
        if self.tap is None or self._log is None:
            return None
        lines = self._log.read_text().splitlines()
        return sum(int(json.loads(line)["lines"]) for line in lines if '"log.dropped"' in line)

    def hold(self, pid: int, *, poor: bool) -> None:
        """Give a process that has just begun what it may have; 32 threads and 128 files if poor."""
        self._threads = FEW_THREADS if poor else _MANY_THREADS
        self._allow_threads()
        self._group.add(pid)
        if poor:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (FEW_FILES, FEW_FILES))

    def begin_shortage(self, of: Means, pid: int) -> Callable[[], None]:
        """Let nothing come on top of what the process has; what ends that again."""
        if of == "threads":
            self._group.limit(1)
            return self._allow_threads
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, hard))
        return partial(_allow_files, pid, (soft, hard))

    def _allow_threads(self) -> None:
        self._group.limit(self._threads)


def _allow_files(pid: int, limits: tuple[int, int]) -> None:
    with suppress(ProcessLookupError):  # it may have ended
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@contextmanager
def surroundings() -> Iterator[Surroundings]:
    """They have to be empty at the end."""
    with a_group_of(_MANY_THREADS) as group:
        yield Surroundings(group)
