"""The system's limits for this process: threads, open files, memory. Advice on what to raise.

A container's `pids_limit` counts threads, including those of its health checks.
"""

import errno
import resource
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from service.errors import StartError

NO_MORE_THREADS = (
    "this process may start no more threads; what helps is a higher pids_limit (Docker), TasksMax"
    " (systemd) or ulimit -u"
)
# Threads to leave free, for a health check and for short-lived ones.
_ROOM = 10
# The most that anybody needs. With Docker's limit of 2^30, code that loops over all possible
# descriptors would take minutes.
_MOST_FILES = 65_536
# The threads of the service: its own, and those of gRPC, HTTP, the history, the log and tracing.
SERVE_THREADS = 18
HEALTH_THREADS = 7


def raise_file_limit() -> int:
    """Raise the soft limit on open files to the hard one, within reason. Return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


def require_threads(least: int) -> None:
    """Raise `StartError` if fewer threads may be started: gRPC would hang silently."""
    done = threading.Event()
    threads = [threading.Thread(target=done.wait, daemon=True) for _ in range(least)]
    started = 0
    try:
        for thread in threads:
            thread.start()
            started += 1
    except RuntimeError:
        raise StartError(f"{NO_MORE_THREADS}: {least} are needed, and {started} allowed") from None
    finally:
        done.set()
        for thread in threads[:started]:
            thread.join()


def room_for_threads() -> bool:
    """Whether the control group of this process has room for another thread and some more."""
    group = _group_of_pids()
    if group is None:
        return True
    try:
        most = (group / "pids.max").read_text().strip()
        return most == "max" or int(most) - int((group / "pids.current").read_text()) > _ROOM
    except (OSError, ValueError):
        return True


def find_shortage(error: BaseException) -> str | None:
    """The shortage that an exception reports, with advice; None if it reports something else."""
    for one in _chain(error):
        if isinstance(one, MemoryError):
            return _SHORTAGES[errno.ENOMEM]
        if isinstance(one, OSError) and one.errno in _SHORTAGES:
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            return _SHORTAGES[one.errno].format(files=soft)
    return None


_SHORTAGES = {
    errno.EMFILE: "this process may open no more files ({files} are allowed); what helps is a"
    " higher ulimit -n, nofile under ulimits (Docker) or LimitNOFILE (systemd)",
    errno.ENFILE: "this host may open no more files; what helps is a higher fs.file-max",
    errno.ENOMEM: "there is no memory left for this process; what helps is a higher memory limit,"
    " or fewer neighbours",
    errno.ENOBUFS: "the kernel has no memory left for sockets; what helps is more memory, or less"
    " traffic, on this host",
}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@cache
def _group_of_pids() -> Path | None:
    """The folder of the control group that limits the threads of this process, if any.

    In a container, the root of the mount is the own group, whatever the path says.
    """
    root = Path("/sys/fs/cgroup")
    for line in _own_groups():
        _, controllers, path = line.split(":", 2)
        base = root / "pids" if controllers == "pids" else root
        if controllers in ("", "pids"):
            for folder in (base / path.lstrip("/"), base):
                if (folder / "pids.max").is_file():
                    return folder
    return None


def _own_groups() -> list[str]:
    try:
        return Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
