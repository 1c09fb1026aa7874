"""docker-py alone: the cost of the library that the supervisor uses."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import docker

from benchmarks.bare_engine import OTHER_INSTANCE
from benchmarks.calls import identifier_of
from service.engine.docker import containers
from service.engine.docker.tolerant_reader import TolerantReader
from service.engine.workload_spec import WorkloadSpec


class DockerPy:
    """Launches with the supervisor's calls of docker-py. Each thread keeps its client."""

    def __init__(self, path: Path) -> None:
        self._url = f"unix://{path}"
        self._local = threading.local()
        self._reader = TolerantReader()
        self._cpu_seconds: list[float] = []
        self._spec = WorkloadSpec(name="", image="", arguments=())

    def copy_options(self) -> None:
        """Use the options of the only running container for all launches."""
        (running,) = self._client().containers()
        seen = self._client().inspect_container(running["Id"])
        config = seen["Config"]
        self._spec = WorkloadSpec(
            name="",
            image=config["Image"],
            arguments=config["Cmd"],
            environment=dict(each.split("=", 1) for each in config["Env"]),
            labels=config["Labels"] | OTHER_INSTANCE,
            network=seen["HostConfig"]["NetworkMode"],
        )

    def launch(self, number: int) -> None:
        """Create and start a container."""
        client, began = self._client(), time.thread_time()
        spec = replace(self._spec, name=f"docker-py-{identifier_of(number)}")
        container_id = containers.create(client, spec, self._reader)
        containers.start(client, container_id, spec)
        self._cpu_seconds.append(time.thread_time() - began)

    def cpu_seconds(self) -> float:
        """The CPU time of the launches so far."""
        return sum(self._cpu_seconds)

    def _client(self) -> docker.APIClient:
        if not hasattr(self._local, "client"):
            self._local.client = docker.APIClient(self._url, version="auto")
        client: docker.APIClient = self._local.client
        return client
