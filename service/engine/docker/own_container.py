"""Finds the container that this process runs in, from traces that container engines leave in it.

No trace exists everywhere:

- Docker mounts `…/containers/ID/hostname`, `hosts` and `resolv.conf`. The kernel shows paths from
  the root of a file system: `/ID/hostname` if `…/containers` is a mount of its own. A container
  that shares another's network has the other's files.
- Podman mounts `…/overlay-containers/ID/userdata/.containerenv` and these files.
- The path of the control group has the id, except in a control group namespace (v2's default).
- The host name is the first twelve digits of the id, unless it is set or the network is the host's.
  Under gVisor there is no other trace.
"""

import os
import re
import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

_ENGINES_FILE = re.compile(
    r"(?:^|/)([0-9a-f]{64})/(?:userdata/)?(?:hostname|hosts|resolv\.conf|\.containerenv)(?://deleted)?$"
)
_ID = re.compile(r"[0-9a-f]{64}")
_SHORT_ID = re.compile(r"[0-9a-f]{12}")
_ROOT = 3  # the field of proc_pid_mountinfo(5)
# Files that mark a container. A machine that was made from an image may have one, too; but in a
# container, the first process is this one or its parent, the init.
_MARKS = (".dockerenv", "run/.containerenv")
_FIRST = 1


@dataclass(frozen=True, slots=True)
class OwnContainer:
    """What is known of the container that this process runs in.

    `ids` may be of the container, or of the one whose network it shares. `contained` says whether
    there is a container at all.
    """

    ids: frozenset[str] = frozenset()
    hostname: str = ""
    contained: bool = False

    @property
    def unclear(self) -> bool:
        """Whether this is a container whose id is unknown."""
        return self.contained and not self.ids

    def may_be(self, container_id: str, network_of: str = "") -> bool:
        """Whether this may be the container with this id, or with the network of that one."""
        return self._matches(container_id) or self._matches(network_of)

    def _matches(self, container_id: str) -> bool:
        short = _SHORT_ID.fullmatch(self.hostname)
        by_name = short is not None and container_id.startswith(self.hostname)
        return by_name or container_id in self.ids


def find_own_container(
    root: Path = Path("/"), hostname: str = "", processes: Collection[int] = ()
) -> OwnContainer:
    """Look for the traces. `processes` are the ids of this process and its parent."""
    proc = root / "proc" / "self"
    ids = {*_in_mounts(_lines(proc / "mountinfo")), *_in_groups(_lines(proc / "cgroup"))}
    marked = any((root / mark).exists() for mark in _MARKS)
    contained = marked and _FIRST in (processes or (os.getpid(), os.getppid()))
    return OwnContainer(frozenset(ids), hostname or socket.gethostname(), contained)


def _in_mounts(lines: list[str]) -> Iterator[str]:
    for line in lines:
        fields = line.split(" ")
        if len(fields) > _ROOT and (found := _ENGINES_FILE.search(fields[_ROOT])):
            yield found[1]


def _in_groups(lines: list[str]) -> Iterator[str]:
    """The last id in each path: the innermost."""
    return (found[-1] for line in lines if (found := _ID.findall(line)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
