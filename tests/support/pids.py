"""A control group that limits how many threads there may be in it, as a container's pids_limit."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_EMPTY_SECONDS = 10.0


class Group:
    """Make it with `a_group_of`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def join(self) -> str:
        """The Python that puts a process into it, see `supervised.after`."""
        return f"open({str(self._folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"

    def add(self, pid: int) -> None:
        """Put a process into it."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def limit(self, threads: int) -> None:
        """Allow so many from now on, and leave alone those that are there."""
        (self._folder / "pids.max").write_text(str(threads))

    @property
    def threads(self) -> int:
        """How many there are."""
        return int((self._folder / "pids.current").read_text())


@contextmanager
def a_group_of(threads: int) -> Iterator[Group]:
    """A group that allows so many threads; it has to be empty at the end."""
    folder = _parent() / f"supervisor-test-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    group = Group(folder)
    group.limit(threads)
    try:
        yield group
    finally:
        deadline = time.monotonic() + _EMPTY_SECONDS
        while group.threads and time.monotonic() < deadline:
            time.sleep(0.02)
        folder.rmdir()


def _parent() -> Path:
    """Of either version of control groups."""
    if (_ROOT / "pids").is_dir():
        return _ROOT / "pids"
    control = _ROOT / "cgroup.subtree_control"
    if "pids" not in control.read_text().split():
        control.write_text("+pids")
    return _ROOT
