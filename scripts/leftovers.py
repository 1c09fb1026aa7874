"""Finds and removes what an engine leaves behind: processes, mounts and control groups.

An engine that was killed takes nothing down with it. What belongs to it is known by its own
directory, on the command line of its daemons, and by its own control group, in which all of
its containers live. Nothing else is ever touched.
"""

import contextlib
import ctypes
import hashlib
import os
import re
import signal
import time
from pathlib import Path

_DAEMONS = (
    *("containerd", "containerd-shim", "containerd-shim-runc-v2", "dockerd", "runc"),
    *("conmon", "podman"),
)
_CGROUPS = Path("/sys/fs/cgroup")
_SHIM_SOCKETS = Path("/run/containerd/s")
_CONTAINER_ID = re.compile(r"\b[0-9a-f]{64}\b")
_END_SECONDS = 10.0


def daemons(directory: Path) -> list[int]:
    """Processes of the engine's programs with this directory on their command line."""
    return [pid for pid in _pids() if _is_daemon_of(pid, os.fsencode(directory))]


def workers(group: str) -> list[int]:
    """Processes that live in a control group below this one: the containers."""
    return [pid for pid in _pids() if f"/{group}/" in _read(pid, "cgroup").decode()]


def started_by(parents: list[int]) -> list[int]:
    """The children of processes."""
    return [pid for pid in _pids() if _parent_of(pid) in parents]


def end(directory: Path, group: str) -> None:
    """Kills the remaining processes of an engine, and waits until they are gone.

    It repeats this, because a shim may be starting a process. Podman's
    containers are not in our control group: they are the children of their conmon.
    """
    deadline = time.monotonic() + _END_SECONDS
    while pids := started_by(daemons(directory)) + daemons(directory) + workers(group):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of {directory} cannot be ended: {pids}")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def unmount(directory: Path) -> None:
    """Unmounts a directory and everything below it, innermost first.

    By the system call (umount2(2) with MNT_DETACH), since a small system has no `umount`.
    """
    libc = ctypes.CDLL(None)
    for point in reversed(mounts_at(directory)):
        libc.umount2(os.fsencode(point), 2)


def remove_shim_sockets(directory: Path, containerd: Path, log: str) -> None:
    """Unlinks the sockets of killed shims, which lie in a folder that all engines share.

    Each shim wrote the address of its own into the engine's directory. Where that is gone, since
    the engine died while it started a container, the name can be computed as containerd does it
    (SocketAddress), from the address of its daemon and the container's id, of which the log tells.
    """
    for file in directory.rglob("address"):
        with contextlib.suppress(OSError):
            Path(file.read_text(encoding="utf-8").removeprefix("unix://")).unlink(missing_ok=True)
    for container in set(_CONTAINER_ID.findall(log)):
        name = hashlib.sha256(f"{containerd}/moby/{container}".encode()).hexdigest()
        (_SHIM_SOCKETS / name).unlink(missing_ok=True)


def remove_groups(group: str) -> None:
    """Removes the emptied control groups, in every hierarchy that this machine has.

    They lie below the group that the daemon was started in, which need not be the root. Those of
    other engines come and go meanwhile, which `os.walk` does not mind.
    """
    for parent, children, _ in os.walk(_CGROUPS):
        if group in children:
            for folder, _, _ in os.walk(Path(parent, group), topdown=False):
                with contextlib.suppress(OSError):  # its files are no obstacle, only processes are
                    Path(folder).rmdir()


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _is_daemon_of(pid: int, directory: bytes) -> bool:
    arguments = _read(pid, "cmdline").split(b"\0")
    program = Path(os.fsdecode(arguments[0]))
    return program.name in _DAEMONS and any(directory + b"/" in word for word in arguments)


def _parent_of(pid: int) -> int:
    """Zero for one that is gone."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def _read(pid: int, file: str) -> bytes:
    """A file of a process, empty if the process is a zombie or has just gone."""
    try:
        if Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z":
            return b""
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def mounts_at(directory: Path) -> list[str]:
    """The mounts at and below a directory, in the order in which they were made."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = (line.split()[4].replace("\\040", " ") for line in lines)
    return [point for point in points if f"{point}/".startswith(f"{directory}/")]
