"""The requests to a manager. Everything here blocks, and runs in a thread (`Calls`)."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from docker.errors import APIError

from service.engine.docker.client import Client, label_filter
from service.engine.docker.list_reader import Decode, decode_json
from service.engine.docker.parsing import read
from service.engine.swarm.answers import Info, Node, Secret, Service, Task
from service.engine.swarm.errors import StaleVersion, translated_errors
from service.engine.swarm.specs import service_of, stopped, without_nodes
from service.engine.swarm.tasks import Nodes
from service.engine.workload_spec import WorkloadSpec
from service.errors import EngineFailed

# How often a change is tried if others change the service at the same time.
_TRIES = 10
# The state of a node that does not answer any more, and that Swarm has given up.
_DOWN = "down"

Filters = Mapping[str, Sequence[str]]


class Manager:
    """A manager, through the client of one thread."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, spec: WorkloadSpec, headers: Mapping[str, str], secret_id: str = "") -> str:
        """Make a service and return its id. Raises `NameTaken`, without the holder."""
        service = service_of(spec, self._client.api_version, secret_id)
        with translated_errors("create", spec.name, spec.redact):
            answer = self._post("/services/create", service, headers=dict(headers))
        return str(answer["ID"])

    def create_secret(self, spec: WorkloadSpec) -> str:
        """Make the secret of a workload and return its id. An earlier try may have made it."""
        assert spec.secret is not None
        secret, labels = spec.secret, dict(spec.labels)
        with translated_errors("create", secret.name, spec.redact):
            try:
                content = secret.content.encode()
                made = self._client.create_secret(secret.name, content, labels)
            except APIError as error:
                if error.status_code != HTTPStatus.CONFLICT:
                    raise
                made = self._client.inspect_secret(secret.name)
        return str(made["ID"])

    def remove_secret(self, secret: str) -> None:
        """Remove a secret, by id or name. Raises `NoSuchWorkload`; `EngineRefused` if in use."""
        with translated_errors("remove", secret):
            self._client.remove_secret(secret)

    def secrets(self, labels: Mapping[str, str]) -> Sequence[Secret]:
        """The secrets with these labels."""
        listed = self._each("/secrets", {"label": label_filter(labels)})
        return [read(Secret, item) for item in listed]

    def stop(self, service_id: str) -> None:
        """End the task of a service. Raises `NoSuchWorkload`."""
        self.change(service_id, stopped)

    def avoid(self, service_id: str, nodes: Sequence[str]) -> None:
        """Have Swarm try a task again, on other nodes. Raises `NoSuchWorkload`."""
        self.change(service_id, lambda spec: without_nodes(spec, nodes))

    def remove(self, service_id: str) -> None:
        """Remove a service and end its tasks. Its name is free then. Raises `NoSuchWorkload`."""
        with translated_errors("remove", service_id):
            self._client.remove_service(service_id)  # type: ignore[no-untyped-call]

    def service(self, service_id: str) -> Service:
        """Raises `NoSuchWorkload`."""
        return read(Service, self._inspect(service_id))

    def services(self, labels: Mapping[str, str]) -> Sequence[Service]:
        """The services with these labels."""
        listed = self._each("/services", {"label": label_filter(labels)})
        return [read(Service, item) for item in listed]

    def named(self, name: str) -> Service | None:
        """The service with this name, or with one that Swarm takes for the same."""
        for item in self._each("/services", {"name": [name]}):
            service = read(Service, item)
            if service.name.lower() == name.lower():
                return service
        return None

    def names(self) -> Sequence[str]:
        """The names of all services."""
        return [read(Service, item).name for item in self._each("/services", {})]

    def tasks_of(self, *services: str) -> Sequence[Task]:
        """The tasks of some services. Raises `NoSuchWorkload` if one of these does not exist."""
        items = self._each("/tasks", {"service": services}, services[0])
        return [read(Task, item) for item in items]

    def each_task(self, labels: Mapping[str, str], decode: Decode = decode_json) -> Iterator[Any]:
        """The tasks of services with these labels, as they arrive."""
        return self._each("/tasks", {"label": label_filter(labels)}, decode=decode)

    def nodes(self) -> Nodes:
        """All nodes. A manager that has just become the leader knows nothing about them yet."""
        with translated_errors("info", ""):
            found = [read(Node, item) for item in self._client.nodes()]
        names = {node.ID: node.Description.Hostname for node in found}
        return Nodes(names, frozenset(each.ID for each in found if each.Status.State == _DOWN))

    def info(self) -> Info:
        """What the manager reports about itself."""
        return read(Info, self._client.info())

    def check_leader(self) -> None:
        """Raise `EngineUnavailable` if the Swarm has no leader: then nothing can change."""
        with translated_errors("ping", ""):
            self._client.inspect_swarm()

    def output_of(self, task: Task, *, lines: int) -> str | None:
        """The last lines that a task has printed; None if its output is not kept.

        A service is not asked: its output is that of all its tasks, in no order, and an error if
        the node of one of them is gone. Raises `NoSuchWorkload`.
        """
        with translated_errors("logs", task.ServiceID):
            output = self._client.last_output("tasks", task.ID, lines)
        return None if not output and task.Spec.keeps_no_log else output

    def change(self, service_id: str, change: Any) -> None:
        """Change the spec of a service, unless `change` returns None."""
        for _ in range(_TRIES):
            found = self._inspect(service_id)
            spec = change(found["Spec"])
            if spec is None:
                return
            try:
                with translated_errors("stop", service_id):
                    version = {"version": found["Version"]["Index"]}
                    self._post(f"/services/{service_id}/update", spec, params=version)
            except StaleVersion:
                continue
            return
        raise EngineFailed(f"service {service_id}: others change it all the time")

    def _inspect(self, service_id: str) -> Any:
        with translated_errors("inspect", service_id):
            return self._client.inspect_service(service_id)  # type: ignore[no-untyped-call]

    def _post(self, path: str, data: Mapping[str, Any], **options: Any) -> Any:
        client: Any = self._client
        answer = client._post_json(client._url(path), data=data, **options)  # noqa: SLF001
        return client._result(answer, json=True)  # noqa: SLF001

    def _each(
        self, path: str, filters: Filters, target: str = "", decode: Decode = decode_json
    ) -> Iterator[Any]:
        with translated_errors("list", target):
            yield from self._client.each(path, filters, decode)
