"""Who can see a secret on the host of an Engine, without being root there."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import docker
from docker.errors import NotFound

from scripts import engines
from service.engine.docker.secret_volumes import has_no_name
from service.engine.workload_spec import AUTH_FOLDER


def places_with(secret: str, client: docker.DockerClient) -> Sequence[str]:
    """What tells it: a listing, an inspection, or the kernel about any process.

    `ps` reads the files of /proc.
    """
    sought = secret.encode()
    told = [str(path) for path in _processes() if sought in _read(path)]
    for item in client.api.containers(all=True):
        with suppress(NotFound):  # it has ended, and is removed
            found = client.api.inspect_container(item["Id"])
            told += [item["Id"]] if secret in json.dumps([item, found]) else []
    return [*told, *(["volumes"] if secret in json.dumps(client.api.volumes()) else [])]


def _processes() -> Sequence[Path]:
    files = ("cmdline", "environ")
    return [path / name for path in Path("/proc").glob("[0-9]*") for name in files]


def _read(path: Path) -> bytes:
    with suppress(OSError):  # the process has ended
        return path.read_bytes()
    return b""


def volumes(client: docker.DockerClient, labels: Mapping[str, str]) -> Sequence[str]:
    """The names of the volumes with these labels; on Podman, which keeps none, of those of jobs."""
    labelled = engines.kind() != "Podman"
    wanted = [f"{key}={value}" for key, value in labels.items()] if labelled else []
    found = client.api.volumes(filters={"label": wanted})["Volumes"] or ()
    return [each["Name"] for each in found if labelled or has_no_name(each["Name"])]


def content(client: docker.DockerClient, container_id: str, name: str) -> tuple[int, int, bytes]:
    """Owner, mode and content of a container's file, as root finds it on the host."""
    mounts = client.api.inspect_container(container_id)["Mounts"]
    (volume,) = (each for each in mounts if each["Destination"] == AUTH_FOLDER)
    path = Path(volume["Source"]) / name
    return path.stat().st_uid, path.stat().st_mode & 0o7777, path.read_bytes()
