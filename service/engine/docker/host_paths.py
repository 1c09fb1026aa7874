"""The folders of the Engine's host that a workload may have: never one with the Engine's socket."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from service.engine.workload_spec import WorkloadSpec
from service.errors import EngineRefused

# A program that may use one of these is root on the host.
_SOCKETS = (
    "/run/docker.sock",
    "/var/run/docker.sock",  # where the folder is no link to /run
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
)
# There, names lead anywhere: `/proc/1/root` is the host's `/`.
_KERNELS = ("/proc", "/sys", "/dev")
_UNIX = "unix://"
_SETTING = "ALLOWED_HOST_PATHS"


def check_folders(spec: WorkloadSpec, allowed: Sequence[str]) -> None:
    """Raise `EngineRefused` if a workload asks for a folder that it may not have.

    It blocks. A job with a folder may have made a link of it since the start.
    """
    for volume in spec.surroundings.volumes:
        if volume.is_folder and (reason := obstacle(volume.source, allowed)):
            raise EngineRefused(f"volumes: {volume.source}: {reason}")


def check_binds(mounts: Sequence[Mapping[str, Any]], allowed: Sequence[str]) -> None:
    """Raise `EngineRefused` if a workload has a folder of the host that is not allowed any more.

    It blocks. The setting may have changed since its launch.
    """
    for source in (str(each.get("Source")) for each in mounts if each.get("Type") == "bind"):
        if reason := obstacle(source, allowed):
            raise EngineRefused(f"volumes: {source}: {reason}")


def obstacle(folder: str, allowed: Sequence[str]) -> str:
    """Why no workload may have a folder of the host, or "" if it may.

    Links are followed as this process sees them. In a container it sees those of the container.
    """
    if reason := _obstacle(folder, allowed):
        return reason
    try:
        real = _without_links(folder)
        reason = _obstacle(real, allowed)
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    return f"leads to {real}, which {reason}" if reason else ""


def _obstacle(path: str, allowed: Sequence[str]) -> str:
    if any(_is_within(socket, path) for socket in _with_links((*_SOCKETS, *_own_socket()))):
        return "is or contains the socket of an engine"
    if any(_is_within(path, kernels) for kernels in _KERNELS):
        return "is the kernel's"
    if not any(_is_within(path, prefix) for prefix in _with_links(allowed)):
        return f"is not in {_SETTING}, which is {':'.join(allowed) or 'not set'}"
    return ""


def _without_links(folder: str) -> str:
    """The path of a folder without links. Raises `OSError` if some links cannot be seen.

    In a folder that this process may not search, a lenient `realpath` would overlook links.
    """
    try:
        return os.path.realpath(folder, strict=True)
    except FileNotFoundError:  # in a container, most folders of the host are not there
        return os.path.realpath(folder)


def _own_socket() -> Iterable[str]:
    """The socket of this process' engine, if that is in this file system."""
    host = os.environ.get("DOCKER_HOST", "")
    return [host.removeprefix(_UNIX)] if host.startswith(_UNIX) else []


def _with_links(paths: Iterable[str]) -> Iterable[str]:
    """The paths as they are written, and as they are with their links followed."""
    for path in paths:
        yield path
        yield os.path.realpath(path)


def _is_within(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)
