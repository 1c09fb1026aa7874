"""The folder of a private engine: claimed by one process, removed with its processes and mounts.

The process that claims a folder holds a lock in it, which the kernel drops when the process
dies, however it dies. So the next run can tell what an interrupted one has left behind.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from scripts import leftovers

_PREFIX = "area-engine-"
_NEW = "area-new-"
_DUMPS = "goroutine-stacks-*.log"
_DUMP_SECONDS = 10.0

# A socket's path has at most 108 bytes and containerd adds to ours, so everything is kept in a
# short folder instead of TMPDIR; only the data may be elsewhere.
_SHORT = Path("/tmp")  # noqa: S108 - mkdtemp makes what is in it


def sweep() -> None:
    """Removes engines whose owner was killed before it could close them."""
    for run in _SHORT.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), _unowned(run):
            erase(run)


@contextlib.contextmanager
def _unowned(run: Path) -> Iterator[None]:
    """Raises OSError while the owner lives: the kernel drops its lock when it dies."""
    lock = os.open(run / "lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def claim() -> tuple[Path, int]:
    """A new folder, locked. It gets the name that `sweep` looks for when the lock is held."""
    fresh = Path(tempfile.mkdtemp(prefix=_NEW, dir=_SHORT))
    lock = os.open(fresh / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return fresh.rename(_SHORT / fresh.name.replace(_NEW, _PREFIX)), lock


def containerd_socket(run: Path) -> Path:
    """The socket of an engine's containerd."""
    return run / "c.sock"


def log_of(run: Path) -> str:
    """The logs of both daemons so far."""
    file = run / "log"
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def delete_dumps(run: Path) -> None:
    """Removes earlier dumps of a daemon's goroutines."""
    for dump in (run / "x").glob(_DUMPS):
        dump.unlink()


def read_dump(run: Path) -> str:
    """The dump of a daemon's goroutines, or "" if it writes none in time."""
    deadline = time.monotonic() + _DUMP_SECONDS
    text = ""
    while time.monotonic() < deadline:
        before = text
        text = "".join(dump.read_text("utf-8", "replace") for dump in (run / "x").glob(_DUMPS))
        if text and text == before:  # nothing is added any more
            return text
        time.sleep(0.2)
    return ""


def erase(run: Path) -> None:
    """Removes everything of an engine, in any state."""
    data = (run / "data").resolve()
    leftovers.end(run, run.name)
    leftovers.remove_shim_sockets(run, containerd_socket(run), log_of(run))
    leftovers.unmount(run)
    leftovers.unmount(data)
    leftovers.remove_groups(run.name)
    shutil.rmtree(data, ignore_errors=True)
    shutil.rmtree(run, ignore_errors=True)
