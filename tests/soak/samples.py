"""What a process uses, over time, and whether any of it grows."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# What is used up to when everything has been done once says nothing about growth.
_WARM_UP = 0.2
_CONNECTED = "03"  # in /proc/net/unix


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment."""

    seconds: float
    cycles: int
    threads: int
    files: int
    megabytes: float
    connections: int
    jobs: int


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that a process uses; it may differ by a tenth, and by so much more."""

    name: str
    of: Callable[[Sample], float]
    slack: float


USES = (
    Use("threads", lambda one: one.threads, 8),
    Use("open files", lambda one: one.files, 16),
    Use("RSS in MB", lambda one: one.megabytes, 4),
    Use("Engine connections", lambda one: one.connections, 8),
    Use("jobs", lambda one: one.jobs, 8),
)


def sample(pid: int, *, seconds: float, cycles: int, jobs: int) -> Sample:
    """What a process uses now."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    files = list(_open_files(process))
    return Sample(
        seconds,
        cycles,
        threads=int(status["Threads"]),
        files=len(files),
        megabytes=int(status["VmRSS"].split()[0]) / 1024,
        connections=len(_clients_ends().intersection(files)),
        jobs=jobs,
    )


def thirds(samples: Sequence[Sample], use: Use) -> tuple[float, float]:
    """The medians of the first and of the last third, once everything is warm."""
    warm = samples[int(len(samples) * _WARM_UP) :]
    third = len(warm) // 3
    assert third, f"{len(samples)} samples are too few"
    return median(map(use.of, warm[:third])), median(map(use.of, warm[-third:]))


def grown(samples: Sequence[Sample]) -> list[str]:
    """What is used more of in the last third than in the first."""
    found = []
    for use in USES:
        first, last = thirds(samples, use)
        if last > first * 1.1 + use.slack:
            found.append(f"{use.name}: {first:g} in the first third, {last:g} in the last")
    return found


def _open_files(process: Path) -> Iterator[str]:
    """Where they lead to."""
    for file in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(file.readlink())


def _clients_ends() -> set[str]:
    """Connected Unix sockets without a path, as open files have them; a server's end has one."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {f"socket:[{row[6]}]" for row in rows if row[5] == _CONNECTED and len(row) == 7}
