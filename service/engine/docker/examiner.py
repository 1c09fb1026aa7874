"""Examines an Engine for `area-supervisor doctor`."""

import secrets
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from docker.errors import APIError

from service.engine.docker.client import label_filter
from service.engine.docker.connection import Clients, Connection
from service.engine.docker.engine_info import offers, traits
from service.engine.docker.error_mapping import translated_errors
from service.engine.docker.images import LocalImages
from service.engine.docker.inspections import Inspected
from service.engine.docker.listings import workload
from service.engine.docker.own_container import find_own_container
from service.engine.docker.parsed_fields import timestamp
from service.engine.docker.parsing import Answer, Unreadable, read, read_list
from service.engine.docker.podman import PodmanClient
from service.engine.docker.shutdown_check import ping_new_connection
from service.engine.examiner import EngineFacts, Ran
from service.engine.workloads import Workload
from service.errors import EngineError, EngineRefused, EngineTimeout, NoSuchWorkload

# Seconds: for a call, for a list, and the least age of a container that a killed check-up has left.
_CALL, _LIST, _LEFT = 5, 20, 120.0
_MARK = "area.supervisor.doctor"
_MOST_OF_THE_OUTPUT = 4000  # bytes


class _Host(Answer):
    """The facts about an Engine and its host."""

    ServerVersion: str = ""
    OperatingSystem: str = ""
    KernelVersion: str = ""
    CgroupVersion: str = ""
    CgroupDriver: str = ""
    MemoryLimit: bool = False
    CpuCfsQuota: bool = False
    PidsLimit: bool = False
    DockerRootDir: str = ""
    SystemTime: str = ""

    @property
    def limits(self) -> Mapping[str, bool]:
        memory = self.MemoryLimit
        limited = {"memory": memory, "memory_reservation": memory}
        return limited | {"cpus": self.CpuCfsQuota, "pids": self.PidsLimit}


class Network(Answer):
    """A network, and how far it reaches."""

    Name: str
    Scope: str = ""


class DockerExaminer:
    """Asks with docker-py. See `Examiner`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._clients = Clients(connection)
        self._images = LocalImages(connection)
        self._made: set[str] = set()  # containers that are not removed yet
        self.shown, self.address = connection.shown, connection.address
        scheme, _, path = connection.url.partition("://")
        self.socket = path if scheme == "unix" else ""

    def facts(self) -> EngineFacts:
        with translated_errors("info", ""):
            client = self._client()
            began = time.time()
            answer = client.info()
            between = (began + time.time()) / 2
            host = read(_Host, answer)
            return EngineFacts(
                product="Podman" if isinstance(client, PodmanClient) else "Docker",
                version=host.ServerVersion,
                system=", ".join(filter(None, (host.OperatingSystem, host.KernelVersion))),
                cgroups=", ".join(filter(None, (host.CgroupVersion, host.CgroupDriver))),
                limits=host.limits,
                clock=(timestamp(host.SystemTime) or between) - between if host.SystemTime else 0.0,
                folder=host.DockerRootDir,
                traits=traits(answer),
                offers=offers(answer),
            )

    def ping(self) -> None:
        # A refusal is an answer: this API may be too new for it.
        with suppress(EngineRefused), translated_errors("ping", ""):
            client = self._clients.plain()
            client.timeout = _CALL
            ping_new_connection(client)

    def networks(self) -> Collection[str]:
        return [each.Name for each in self._networks()]

    def _networks(self) -> Sequence[Network]:
        with translated_errors("list", "networks"):
            return [read(Network, each) for each in read_list(self._client().networks())]

    def images(self, names: Iterable[str]) -> frozenset[str]:
        return self._images.find(names)

    def workloads(self, labels: Mapping[str, str]) -> Sequence[Workload]:
        found = []
        with translated_errors("list", "containers"):
            client = self._client()
            client.timeout = _LIST
            for item in client.each_container(label_filter(labels)):
                with suppress(Unreadable):
                    found.append(workload(item))
        return found

    def own_image(self) -> str:
        for container_id in find_own_container().ids:
            with suppress(NoSuchWorkload), translated_errors("inspect", container_id):
                answer = self._client().inspect_container(container_id)
                return read(Inspected, answer).Config.Image
        return ""

    def run(self, image: str, network: str, command: Sequence[str], *, within: float) -> Ran:
        with translated_errors("create", image):
            client = self._client()
            self._sweep(client)
            container_id = self._make(client, image, network, command)
        with translated_errors("start", image):
            try:
                client.start(container_id)
                code = _await_exit(client, container_id, within)
                return Ran(code, _output(client, container_id))
            finally:
                self._remove(client, container_id)

    def close(self) -> None:
        for container_id in [*self._made]:
            with suppress(EngineError), translated_errors("remove", container_id):
                self._remove(self._client(), container_id)

    def _client(self) -> Any:
        client = self._clients.get()
        client.timeout = _CALL
        return client

    def _make(self, client: Any, image: str, network: str, command: Sequence[str]) -> str:
        """Create a container that may do nothing but look."""
        config = client.create_host_config(
            network_mode=network,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            log_config={"Type": "json-file", "Config": {}},
        )
        made = client.create_container(
            image,
            entrypoint=list(command),
            command=[],
            name=f"area-supervisor-doctor-{secrets.token_hex(4)}",
            labels={_MARK: str(int(time.time()))},
            healthcheck={"test": ["NONE"]},
            host_config=config,
        )
        container_id = str(made["Id"])
        self._made.add(container_id)
        return container_id

    def _remove(self, client: Any, container_id: str) -> None:
        client.timeout = _CALL
        with suppress(APIError):  # somebody else removes it
            client.remove_container(container_id, v=True, force=True)
        self._made.discard(container_id)

    def _sweep(self, client: Any) -> None:
        """Remove what check-ups have left that were killed."""
        for item in client.each_container([_MARK]):
            left = workload(item)
            if time.time() - left.created_at > _LEFT:
                self._remove(client, left.id)


def _await_exit(client: Any, container_id: str, within: float) -> int | None:
    """The exit code; None if it runs for longer."""
    try:
        with translated_errors("wait", container_id):
            return int(client.wait(container_id, timeout=within)["StatusCode"])
    except EngineTimeout:
        return None


def _output(client: Any, container_id: str) -> str:
    output: bytes = client.logs(container_id, tail=50)
    return output[-_MOST_OF_THE_OUTPUT:].decode(errors="replace").strip()
