"""Files with secrets in containers: each is in a volume of its container's own.

Before a container runs, Docker writes a file into its image's layer, and refuses that if it is
read-only; a folder in memory is there only while it runs. A volume takes the file in either case
and keeps it across restarts. It has no name of its own, so it is removed together with our
container. If the container is removed by hand without `-v`, the volume stays; its labels say that
it is ours.
"""

import io
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from posixpath import basename
from typing import Any, NamedTuple

from docker.errors import APIError

from observability.redaction.redactor import NO_SECRETS, Redactor
from service.engine.docker.client import Client, label_filter
from service.engine.docker.inspections import Inspected, inspection
from service.engine.docker.parsed_fields import NotEmpty
from service.engine.docker.parsing import Answer, read
from service.engine.workload_spec import AUTH_FILE, AUTH_FOLDER, WorkloadSpec
from service.engine.workloads import Status
from service.errors import EngineFailed, EngineRefused, NoSuchWorkload

_USERS = "/etc/passwd"
_MODE = 0o400
_ROOT = 0
# Of an archive: twice what a secret may have. The worker may have made its file longer.
_MOST_BYTES = 1024 * 1024
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
# What the Engine calls a volume without a name.
_WITHOUT_NAME = re.compile(r"[0-9a-f]{64}")


class _Volume(Answer):
    Name: NotEmpty


class _ListedVolumes(Answer):
    """The volumes that were asked for."""

    Volumes: list[_Volume] | None = None


def mounts_of(spec: WorkloadSpec) -> Sequence[Mapping[str, Any]]:
    """The mounts of a container for its file."""
    return [] if spec.secret is None else [mount_of(spec.labels)]


def mount_of(labels: Mapping[str, str]) -> Mapping[str, Any]:
    """The mount of a container with these labels for its file."""
    # The keys are in the order that a proxy expects (CREATE_BODY).
    return {"Type": "volume", "Target": AUTH_FOLDER, "VolumeOptions": {"Labels": dict(labels)}}


def has_no_name(volume: str) -> bool:
    """Whether a volume goes with its container."""
    return bool(_WITHOUT_NAME.fullmatch(volume))


def write_file(client: Client, container_id: str, spec: WorkloadSpec) -> None:
    """Write the file into a container that was not started yet, for its user."""
    assert spec.secret is not None
    content, user = spec.secret.content.encode(), spec.confinement.user
    _write(client, container_id, content, user, _About(spec.name, spec.redact))


def copy_file(client: Client, source_id: str, target_id: str, name: str) -> None:
    """Write the file of a container into its successor, which was not started yet."""
    content = _content(client, source_id, AUTH_FILE)
    if content is None:
        raise EngineRefused(f"the file with the credentials of {name} is not what it was")
    _write(client, target_id, content, "", _About(name))


def has_file(mounts: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a container with these mounts has a file."""
    return any(mount.get("Target") == AUTH_FOLDER for mount in mounts)


def read_file(client: Client, container_id: str) -> str | None:
    """The content of the file; None if it is not there. Raises docker-py's errors."""
    content = _content(client, container_id, AUTH_FILE)
    return None if content is None else content.decode(errors="replace")


def remove_left_volumes(client: Client, labels: Mapping[str, str]) -> tuple[int, int]:
    """Remove the volumes with these labels that no container uses.

    Return how many were removed, and how many there were.
    """
    every, unused = (_names(client, labels, only_unused=only) for only in (False, True))
    return sum(_remove(client, name) for name in unused), len(every)


class _About(NamedTuple):
    """The container of a file, for error messages."""

    name: str
    redact: Redactor = NO_SECRETS


def _write(client: Client, container_id: str, content: bytes, user: str, about: _About) -> None:
    try:
        owner = _owner(client, container_id, user, about.name)
        client.put_archive(container_id, AUTH_FOLDER, _archive(content, owner))
    except (APIError, NoSuchWorkload) as error:  # a third party has removed it
        if isinstance(error, APIError) and error.status_code not in _GONE:
            raise
        reason = about.redact(str(getattr(error, "explanation", error)))
        raise EngineFailed(f"the Docker Engine failed: upload for {about.name}: {reason}") from None


def _owner(client: Client, container_id: str, user: str, name: str) -> int:
    """The number of a container's user. `user` is "" for that of its image."""
    user, _, _ = (user or _config_user(client, container_id)).partition(":")
    if not user or user.isdecimal():
        return int(user or _ROOT)
    users = _content(client, container_id, _USERS) or b""
    for line in users.decode(errors="replace").splitlines():
        found, _, number, *_ = [*line.split(":"), "", ""]
        if found == user and number.isdecimal():
            return int(number)
    raise EngineRefused(
        f"the file with the credentials of {name} needs the number of its user {user!r}, which is"
        f" not in {_USERS} of its image: give `user` in the catalogue as a number"
    )


def _config_user(client: Client, container_id: str) -> str:
    """The user of a container that was made without one: that of its image."""
    return read(Inspected, client.inspect_container(container_id)).Config.User


def _archive(content: bytes, owner: int) -> bytes:
    entry = tarfile.TarInfo(basename(AUTH_FILE))
    entry.size, entry.mode, entry.uid = len(content), _MODE, owner
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _content(client: Client, container_id: str, path: str) -> bytes | None:
    """The content of a file of a container; None if there is none, or it is no regular one."""
    try:
        received = client.download(container_id, path, most=_MOST_BYTES)
    except APIError as error:
        # Raises if that is what was not found.
        seen = inspection(client.inspect_container(container_id))
        if seen.status is Status.REMOVING:  # 500, with texts of several layers below Docker
            raise NoSuchWorkload(f"container {container_id}: is being removed") from None
        if error.status_code != HTTPStatus.NOT_FOUND:
            raise
        return None
    try:
        with tarfile.open(fileobj=io.BytesIO(received)) as archive:
            member = archive.next()
            file = archive.extractfile(member) if member and member.isreg() else None
            return file.read() if file else None
    except tarfile.TarError:  # it is cut off
        return None


def _names(client: Client, labels: Mapping[str, str], *, only_unused: bool) -> Sequence[str]:
    filters: dict[str, Any] = {"label": label_filter(labels)}
    if only_unused:
        filters["dangling"] = True
    answer = client.volumes(filters=filters)
    names = [each.Name for each in read(_ListedVolumes, answer).Volumes or ()]
    return [name for name in names if has_no_name(name)]


def _remove(client: Client, name: str) -> bool:
    """Remove a volume. False if it is gone or in use."""
    try:
        client.remove_volume(name)
    except APIError as error:
        if error.status_code not in _GONE:
            raise
        return False
    return True
