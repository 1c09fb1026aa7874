"""docker-py with nothing around it: what the library costs that the supervisor builds on."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import docker

from benchmarks.bare_engine import OF_NOBODY
from benchmarks.calls import identifier_of
from service.engine.base import WorkloadSpec
from service.engine.docker import containers
from service.engine.docker.tolerant_reader import Oddities


class DockerPy:
    """Creates and starts with the supervisor's own calls of it; a thread keeps its client."""

    def __init__(self, path: Path) -> None:
        self._url = f"unix://{path}"
        self._local = threading.local()
        self._oddities = Oddities()
        self._cpu_seconds: list[float] = []
        self._spec = WorkloadSpec(name="", image="", arguments=())

    def copy_options(self) -> None:
        """Launch from now on what the one container is that runs."""
        (running,) = self._client().containers()
        seen = self._client().inspect_container(running["Id"])
        config = seen["Config"]
        self._spec = WorkloadSpec(
            name="",
            image=config["Image"],
            arguments=config["Cmd"],
            environment=dict(each.split("=", 1) for each in config["Env"]),
            labels=config["Labels"] | OF_NOBODY,
            network=seen["HostConfig"]["NetworkMode"],
        )

    def launch(self, number: int) -> None:
        """Create and start a container."""
        client, began = self._client(), time.thread_time()
        spec = replace(self._spec, name=f"docker-py-{identifier_of(number)}")
        container_id = containers.create(client, spec, self._oddities)
        containers.start(client, container_id, spec)
        self._cpu_seconds.append(time.thread_time() - began)

    def cpu_seconds(self) -> float:
        """What the launches have taken of the processor so far."""
        return sum(self._cpu_seconds)

    def _client(self) -> docker.APIClient:
        if not hasattr(self._local, "client"):
            self._local.client = docker.APIClient(self._url, version="auto")
        client: docker.APIClient = self._local.client
        return client
