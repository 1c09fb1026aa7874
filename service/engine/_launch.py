"""What docker-py is asked for a launch, and to undo one."""

from contextlib import suppress
from http import HTTPStatus
from typing import Any

import docker
from docker.errors import APIError

from service.engine._answers import Created, read
from service.engine.base import Limits, WorkloadSpec, name_aside
from service.errors import EngineFaltered


def create(client: docker.APIClient, spec: WorkloadSpec) -> str:
    """Make a container; its id."""
    created = client.create_container(
        image=spec.image,
        command=list(spec.arguments),
        name=spec.name,
        environment=dict(spec.environment),
        labels=dict(spec.labels),
        stop_signal="SIGTERM",  # whatever the image says: it is what workers are promised
        host_config=_host_config(client, spec.network, spec.limits),
    )
    return read(Created, created).Id


def start(client: docker.APIClient, container_id: str, spec: WorkloadSpec) -> None:
    """Start it. Raises `EngineFaltered` where a second launch may go better."""
    try:
        client.start(container_id)
    except APIError as error:
        if error.status_code == HTTPStatus.FORBIDDEN:
            _free_endpoint(client, container_id, spec)
        elif not _has_been_removed(error):
            raise
        told = spec.redact(str(error.explanation))
        raise EngineFaltered(f"the Docker Engine failed: start for {spec.name}: {told}") from None


def set_aside(client: docker.APIClient, container_id: str) -> str:
    """Give a container the name of one that cannot be removed; that name."""
    name: str = client.inspect_container(container_id)["Name"].removeprefix("/")
    aside = name_aside(name, container_id)
    if aside != name:
        client.rename(container_id, aside)
    return aside


def _has_been_removed(error: APIError) -> bool:
    """Whether a third party was quicker: `docker container prune` takes what is not started yet."""
    gone = error.status_code == HTTPStatus.NOT_FOUND and "No such container" in str(error)
    return gone or error.status_code == HTTPStatus.CONFLICT  # "is marked for removal"


def _free_endpoint(client: docker.APIClient, container_id: str, spec: WorkloadSpec) -> None:
    """Give up the place in the network that an earlier container of this name still has.

    With live-restore, one that ends while the Engine is starting keeps it for ever. The Engine
    frees it by name, and only while no container has the name.
    """
    with suppress(APIError):
        client.remove_container(container_id, v=True, force=True)
        client.disconnect_container_from_network(spec.name, spec.network, force=True)


def _host_config(client: docker.APIClient, network: str, limits: Limits) -> dict[str, Any]:
    config: dict[str, Any] = client.create_host_config(
        network_mode=network,
        init=True,  # so that SIGTERM reaches a worker without a handler of its own
        mem_limit=limits.memory,
        memswap_limit=limits.memory,  # no swap on top
        nano_cpus=int(limits.cpus * 1e9) if limits.cpus else None,
        pids_limit=limits.pids,
    )
    return config
