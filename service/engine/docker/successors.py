"""Makes a container like one that has exited, from what the Engine says of that one.

What is read here has the arguments, with their secrets, and is only sent back to the Engine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import docker
from docker.errors import APIError

from observability.redaction.redactor import Redactor
from service.engine.docker.client import Client
from service.engine.docker.containers import failed_start, has_been_removed, raise_if_taken
from service.engine.docker.host_paths import check_binds
from service.engine.docker.inspections import inspection
from service.engine.docker.names import name_before, name_ended
from service.engine.docker.secret_volumes import has_file
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.workloads import Inspection, Status
from service.errors import EngineRefused, ImageMissing, NoSuchWorkload

# Keys that an inspection has and no launch asks for: the Engine fills them in again. So a proxy
# that lets launches through lets successors through, too.
_OF_THE_ENGINE = {
    *("Hostname", "Domainname", "OnBuild", "ArgsEscaped", "MacAddress"),
    *("CgroupnsMode", "ConsoleSize", "ContainerIDFile", "IpcMode", "Isolation"),
    *("MaskedPaths", "ReadonlyPaths", "RestartPolicy"),
}
# What a container gets from its image, unless it is given something else (moby's merge.go).
_OF_THE_IMAGE = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "WorkingDir", "Volumes"),
    *("StopSignal", "Healthcheck", "Shell"),
)
_SHM_SIZE = 64 * 2**20  # by default
_CAPABILITIES = ("CapAdd", "CapDrop")


@dataclass(frozen=True, slots=True)
class Plan:
    """A successor to create: its name, its image, and the body of the request."""

    predecessor: Inspection
    held: str  # the name that it has now
    name: str
    image: str
    body: Mapping[str, Any] = field(repr=False)

    @property
    def has_file(self) -> bool:
        """Whether it has a file with credentials (`secret_volumes`)."""
        return has_file(self.body["HostConfig"].get("Mounts") or ())


def look(
    client: Client,
    container_id: str,
    labels: Mapping[str, str],
    allowed_folders: Sequence[str],
) -> Plan:
    """Plan the successor of an exited container.

    Raises `NoSuchWorkload` if it is being removed, and `EngineRefused` if it runs, or has a folder
    of the host that it may not have.
    """
    answer = client.inspect_to_repeat(container_id)
    seen = inspection(answer)
    if seen.status is Status.REMOVING:
        raise NoSuchWorkload(f"container {container_id}: is being removed")
    if seen.status is not Status.EXITED:
        raise EngineRefused(f"container {container_id}: has not exited")
    check_binds(answer["HostConfig"].get("Mounts") or (), allowed_folders)
    held = str(answer["Name"]).removeprefix("/")
    config = answer["Config"]
    image, defaults = _image(client, config["Image"], answer["Image"])
    body = {
        **_own(config, defaults),
        "Image": image,
        "Labels": {**(config.get("Labels") or {}), **labels},
        "HostConfig": _host_config(client, answer["HostConfig"]),
    }
    return Plan(seen, held, name_before(held, container_id), image, body)


def _image(client: docker.APIClient, name: str, image_id: str) -> tuple[str, Mapping[str, Any]]:
    """The image, and what it gives each container.

    By its name, or by its id if the name stands for another one by now. Raises `ImageMissing`.
    """
    found, reference = _inspected(client, name), name
    if found is None or found["Id"] != image_id:
        found, reference = _inspected(client, image_id), image_id
    if found is None:  # somebody has removed it by force
        raise ImageMissing(f"image {name}: is not on the Docker Engine any more")
    config = found.get("Config") or {}
    return reference, {key: config.get(key) for key in _OF_THE_IMAGE}


def _inspected(client: Any, image: str) -> Mapping[str, Any] | None:
    """The inspection of an image; None if it is not there."""
    try:
        found: Mapping[str, Any] = client.inspect_image(image)
    except APIError as error:
        if error.status_code != HTTPStatus.NOT_FOUND:
            raise
        return None
    return found


def _own(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a container was given, without empty values and defaults."""
    return {
        key: value
        for key, value in config.items()
        if value and key not in _OF_THE_ENGINE and value != defaults.get(key)
    }


def _host_config(client: Any, config: Mapping[str, Any]) -> Mapping[str, Any]:
    given = _own(config, {"ShmSize": _SHM_SIZE, "Runtime": client.info().get("DefaultRuntime")})
    for key in _CAPABILITIES:
        if key in given:
            given[key] = [name.removeprefix("CAP_") for name in given[key]]
    return {**given, "Init": bool(config.get("Init"))}


def free_name(client: docker.APIClient, plan: Plan) -> None:
    """Give the exited container another name."""
    aside = name_ended(plan.name, plan.predecessor.id)
    if aside != plan.held:
        client.rename(plan.predecessor.id, aside)


def create(client: docker.APIClient, plan: Plan, redact: Redactor, reader: TolerantReader) -> str:
    """Create the successor. Return its id."""
    client_: Any = client
    try:
        answer = client_.create_container_from_config(dict(plan.body), plan.name)
    except APIError as error:
        raise_if_taken(client, plan.name, error, redact(str(error.explanation)))
        raise
    return reader.created(answer, redact)


def start(client: docker.APIClient, container_id: str, plan: Plan, redact: Redactor) -> None:
    """Start the successor. Raises `EngineFailed` if a third party has removed it."""
    try:
        client.start(container_id)
    except APIError as error:
        if not has_been_removed(error):
            raise
        raise failed_start(plan.name, error, redact) from None
