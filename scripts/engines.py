"""Which Engine the tests run on. `TEST_ENGINE` says it; without it, the Docker of this machine.

An Engine of another release of Debian runs in a root of that release (see `debian_root`).
"""

import os
from pathlib import Path

from examples.images import debian_base
from scripts import debian_root
from scripts.progress import PrerequisiteError

VARIABLE = "TEST_ENGINE"
MACHINE = "machine"
# A Swarm of one node, which is the Docker of this machine.
SWARM = "swarm"
_ON_THE_MACHINE = {MACHINE, SWARM}
# The release of Debian that has it.
RELEASES = {"docker-20.10": "bookworm", "docker-26.1": "trixie", "podman-5.4": "trixie"}

# The packages for the Engines. `docker top` runs the `ps` of procps.
_DOCKER = ("ca-certificates", "docker.io", "docker-compose", "iptables", "procps")
_PACKAGES = {
    "bookworm": _DOCKER,
    "trixie": (*_DOCKER, "docker-cli", "podman", "runc", "catatonit", "netavark"),
}


def chosen() -> str:
    """The Engine's name, or `machine`. Raises `PrerequisiteError` for any other."""
    name = os.environ.get(VARIABLE) or MACHINE
    if name not in _ON_THE_MACHINE | {*RELEASES}:
        allowed = ", ".join((MACHINE, SWARM, *RELEASES))
        raise PrerequisiteError(f"{VARIABLE}={name}: allowed are {allowed}")
    return name


def kind() -> str:
    """Docker or Podman."""
    name = chosen()
    return "Docker" if name in _ON_THE_MACHINE else name.partition("-")[0].capitalize()


def check_version(version: str) -> None:
    """Raises `PrerequisiteError` where what runs is not of the chosen version.

    The machine's own Docker may come from elsewhere than its Debian.
    """
    name = chosen()
    if name not in _ON_THE_MACHINE and not version.startswith(f"{name.partition('-')[2]}."):
        raise PrerequisiteError(f"{VARIABLE}={name}: this machine's own is {kind()} {version}")


def root() -> Path | None:
    """The root in which the chosen Engine runs, made if it is missing; None for our own."""
    name = chosen()
    if name in _ON_THE_MACHINE or _is_the_machines(name):
        return None
    release = RELEASES[name]
    return debian_root.folder(release, _PACKAGES[release])


def _is_the_machines(name: str) -> bool:
    """The tests install Docker where it is missing, and nothing else."""
    return name.startswith("docker-") and RELEASES[name] == debian_base.own_release()
