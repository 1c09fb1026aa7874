"""What the system lets this process have: threads and open files, and what helps where it is short.

A container's `pids_limit` counts threads, and those of its health checks with them.
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
# What one health check takes, and the threads that come and go.
_ROOM = 10
# As many as the hard limit allows, but not more than anybody needs: with Docker's 2^30, what walks
# through all possible descriptors would take minutes.
_MOST_FILES = 65_536
# Without its own, those of gRPC, of the HTTP port, of the log and of tracing, nothing works.
SERVE_THREADS = 16
HEALTH_THREADS = 7


def raise_file_limit() -> int:
    """Raise the soft limit on open files to the hard one, within reason; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


def require_threads(least: int) -> None:
    """Raise `StartError` where fewer may be started: gRPC would hang without a word."""
    over = threading.Event()
    threads = [threading.Thread(target=over.wait, daemon=True) for _ in range(least)]
    started = 0
    try:
        for thread in threads:
            thread.start()
            started += 1
    except RuntimeError:
        raise StartError(f"{NO_MORE_THREADS}: {least} are needed, and {started} allowed") from None
    finally:
        over.set()
        for thread in threads[:started]:
            thread.join()


def room_for_threads() -> bool:
    """Whether another thread leaves room for others in this process' control group."""
    group = _group_of_pids()
    if group is None:
        return True
    try:
        most = (group / "pids.max").read_text().strip()
        return most == "max" or int(most) - int((group / "pids.current").read_text()) > _ROOM
    except (OSError, ValueError):
        return True


def lacking(error: BaseException) -> str | None:
    """What the system had too little of, if that is what an exception says, and what helps."""
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
    """The folder of this process' control group that limits its threads, if any does.

    In a container the root of what is mounted is its own group, whatever its path is outside.
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
