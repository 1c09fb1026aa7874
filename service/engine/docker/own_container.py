"""Which container this process runs in, by what container engines leave to be seen inside.

No sign is there everywhere:

- Docker mounts `…/containers/ID/hostname`, and `hosts` and `resolv.conf`. The kernel tells paths
  from the file system's root on: `/ID/hostname` where `…/containers` is a mount of its own. A
  container that shares the network of another has the files of that one.
- Podman mounts `…/overlay-containers/ID/userdata/.containerenv`, and the others.
- The path of the control group has the id, but for a control group namespace, the default with v2.
- The host's name is the id's first twelve digits, unless it is set, or the network is the host's.
  Under gVisor that is all there is.
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
# Files that say so; a machine that was made of an image may have one, too. In a container, its
# first process is ours, or the init that has started ours.
_MARKS = (".dockerenv", "run/.containerenv")
_FIRST = 1


@dataclass(frozen=True, slots=True)
class OwnContainer:
    """What can be told of the container that this process runs in.

    `ids` are of our container, or of the one whose network it has; `contained` is whether it is a
    container at all.
    """

    ids: frozenset[str] = frozenset()
    hostname: str = ""
    contained: bool = False

    @property
    def unclear(self) -> bool:
        """Whether this may be a container of any id."""
        return self.contained and not self.ids

    def may_be(self, container_id: str, network_of: str = "") -> bool:
        """Whether this is that container, by its id or by that of the one whose network it has."""
        return self._names(container_id) or self._names(network_of)

    def _names(self, container_id: str) -> bool:
        short = _SHORT_ID.fullmatch(self.hostname)
        by_name = short is not None and container_id.startswith(self.hostname)
        return by_name or container_id in self.ids


def look_around(
    root: Path = Path("/"), hostname: str = "", processes: Collection[int] = ()
) -> OwnContainer:
    """Find out which container this is. `processes` are this one and its parent."""
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
    """The last one of each path is the innermost."""
    return (found[-1] for line in lines if (found := _ID.findall(line)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
