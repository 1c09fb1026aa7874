"""The folder of a private engine: claimed by one process, and removed with all that uses it.

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
_ACCOUNTS = "goroutine-stacks-*.log"
_ACCOUNT_SECONDS = 10.0

# A socket's path has at most 108 bytes and containerd adds to ours, so everything is kept in a
# short folder whatever TMPDIR says; only the data may lie elsewhere.
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
    """Where an engine's containerd listens."""
    return run / "c.sock"


def log_of(run: Path) -> str:
    """What both daemons of an engine have said so far."""
    file = run / "log"
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def forget_accounts(run: Path) -> None:
    """Removes what a daemon has said of its goroutines earlier."""
    for account in (run / "x").glob(_ACCOUNTS):
        account.unlink()


def account_of(run: Path) -> str:
    """What a daemon has been asked to say of its goroutines; empty if it does not, in a while."""
    deadline = time.monotonic() + _ACCOUNT_SECONDS
    text = ""
    while time.monotonic() < deadline:
        before = text
        text = "".join(
            account.read_text("utf-8", "replace") for account in (run / "x").glob(_ACCOUNTS)
        )
        if text and text == before:  # nothing is added any more
            return text
        time.sleep(0.2)
    return ""


def erase(run: Path) -> None:
    """Removes all that is left of an engine, whatever state it is in."""
    data = (run / "data").resolve()
    leftovers.end(run, run.name)
    leftovers.remove_shim_sockets(run, containerd_socket(run), log_of(run))
    leftovers.unmount(run)
    leftovers.unmount(data)
    leftovers.remove_groups(run.name)
    shutil.rmtree(data, ignore_errors=True)
    shutil.rmtree(run, ignore_errors=True)
