"""What is really on the Engine, seen with a client of the tests' own."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import docker
import requests
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from scripts import engines
from tests.support import swarm, worker

PREFIX = "area.supervisor."
_REMOVAL_SECONDS = 30.0
# A node of a Swarm removes what has ended a moment after its service is gone.
_ALL = engines.chosen() != engines.SWARM
_ECHO_SECONDS = 0.3
# Docker 20.10 may lock itself out where many end at the same moment (moby/moby issue 46661).
_ENDS_AT_ONCE = 4


# What newer Podman calls what 5.4 calls so, as Docker does.
_STATUSES = {"stopping": "running", "stopped": "exited"}


class _Api(docker.APIClient):
    """Answers as Docker does, also for Podman 5.4."""

    def inspect_container(self, container: Any) -> Any:
        found = super().inspect_container(container)
        state = found["State"]
        state["Status"] = _STATUSES.get(state["Status"], state["Status"])
        return found

    def _raise_for_status(self, response: requests.Response) -> None:
        if (
            response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
            and "no such container" in response.text
        ):
            response.status_code = HTTPStatus.NOT_FOUND  # it was removed during the call
        super()._raise_for_status(response)  # type: ignore[misc]


class Client(docker.DockerClient):
    """A client for the tests."""

    def __init__(self, host: str) -> None:
        self.api = _Api(host)


def everything(client: docker.DockerClient) -> list[Container]:
    """Every container, whatever it does."""
    return client.containers.list(all=_ALL, ignore_removed=True)


def live(client: docker.DockerClient) -> list[str]:
    """The identifiers of the jobs' containers that run, sorted."""
    found = client.api.containers(filters={"label": f"{PREFIX}identifier"})
    return sorted(item["Labels"][f"{PREFIX}identifier"] for item in found)


def of(client: docker.DockerClient, identifier: str) -> list[Container]:
    """Every container of an identifier, whatever it does."""
    label = f"{PREFIX}identifier={identifier}"
    return client.containers.list(all=_ALL, filters={"label": label}, ignore_removed=True)


def of_ours(client: docker.DockerClient) -> list[Container]:
    """Every container of a job that runs."""
    found = client.containers.list(filters={"label": f"{PREFIX}identifier"}, ignore_removed=True)
    return sorted(found, key=lambda container: str(container.id))


def job_of(container: Container) -> tuple[str, str]:
    """The name and the identifier of a container's job."""
    return container.labels[f"{PREFIX}job"], container.labels[f"{PREFIX}identifier"]


def one(client: docker.DockerClient, identifier: str) -> Container:
    """The only container of an identifier."""
    (container,) = of(client, identifier)
    container.reload()  # with everything that an inspect tells
    return container


def arguments(container: Container) -> list[str]:
    """The arguments that the Engine gives to the worker."""
    command: list[str] = container.attrs["Config"]["Cmd"]
    return command


def environment(container: Container) -> dict[str, str]:
    """The environment that the Engine gives to the worker."""
    pairs = (entry.partition("=") for entry in container.attrs["Config"]["Env"])
    return {key: value for key, _, value in pairs}


def host_config(container: Container) -> dict[str, Any]:
    """What the Engine was told of the container's surroundings."""
    config: dict[str, Any] = container.attrs["HostConfig"]
    return config


def exists(container: Container) -> bool:
    """Whether a container is still there."""
    with suppress(NotFound):
        container.reload()
        return True
    return False


def runs(container: Container) -> bool:
    """Whether a container is there, and runs."""
    return exists(container) and container.status == "running"


def pause(client: docker.DockerClient, container_id: str, *, paused: bool) -> None:
    """Pause or unpause by hand.

    containerd tells Docker of it as well, and later. Docker takes that for news if it has been told
    to do the opposite meanwhile, and is wrong from then on: 2 in 100 under load. So it is awaited.
    """
    (client.api.pause if paused else client.api.unpause)(container_id)
    time.sleep(_ECHO_SECONDS)


def stranger(
    client: docker.DockerClient,
    name: str,
    labels: Mapping[str, str] | None = None,
    image: str = worker.IMAGE,
) -> Container:
    """A running container that no supervisor has launched."""
    container = client.containers.create(
        image, name=name, labels=dict(labels or {}), network_mode="host", init=True
    )
    container.start()
    return container


def labels_of_another(
    instance: str, identifier: str = "theirs", launch_id: str = "0" * 16
) -> dict[str, str]:
    """The labels that another supervisor gives to a container of its own."""
    return {
        f"{PREFIX}instance": instance,
        f"{PREFIX}identifier": identifier,
        f"{PREFIX}job": "timer",
        f"{PREFIX}kind": "action",
        f"{PREFIX}ends": "false",
        f"{PREFIX}launch-id": launch_id,
    }


def remove_everything(client: docker.DockerClient) -> None:
    """Leave no container behind.

    One that is just being made is listed before it can be removed.
    """
    swarm.remove_services(client)
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while found := client.api.containers(all=True):
        assert time.monotonic() < deadline, f"cannot be removed: {found}"
        with ThreadPoolExecutor(_ENDS_AT_ONCE) as pool:
            list(pool.map(lambda item: _remove(client, item["Id"]), found))


def _remove(client: docker.DockerClient, container_id: str) -> None:
    with suppress(APIError):  # Podman would wait for 10 s until what ignores SIGTERM is dead
        client.api.kill(container_id)
    with suppress(NotFound, APIError):
        client.api.remove_container(container_id, v=True, force=True)
