"""What a manager is asked. Everything here blocks, and runs in a thread (`Calls`)."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from docker.errors import APIError

from service.engine.docker.client import Client, label_filter
from service.engine.docker.parsing import read
from service.engine.swarm.answers import Info, Node, Secret, Service, Task
from service.engine.swarm.errors import StaleVersion, told
from service.engine.swarm.specs import service_of, stopped, without_nodes
from service.engine.swarm.tasks import Nodes
from service.engine.workload_spec import WorkloadSpec
from service.errors import EngineFailed

# How often a service is changed anew that somebody else changes at the same time.
_TRIES = 10
# Of a node that does not answer any more, and that Swarm has given up.
_DOWN = "down"

Filters = Mapping[str, Sequence[str]]


class Manager:
    """A manager, as one thread's client reaches it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, spec: WorkloadSpec, headers: Mapping[str, str], secret_id: str = "") -> str:
        """Make a service; its id. Raises `NameTaken`, without the holder."""
        service = service_of(spec, self._client.api_version, secret_id)
        with told("create", spec.name, spec.redact):
            answer = self._post("/services/create", service, headers=dict(headers))
        return str(answer["ID"])

    def create_secret(self, spec: WorkloadSpec) -> str:
        """Make the secret of a workload; its id. An earlier try may have made it."""
        assert spec.secret is not None
        secret, labels = spec.secret, dict(spec.labels)
        with told("create", secret.name, spec.redact):
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
        with told("remove", secret):
            self._client.remove_secret(secret)

    def secrets(self, labels: Mapping[str, str]) -> Sequence[Secret]:
        """All with these labels."""
        listed = self._each("/secrets", {"label": label_filter(labels)})
        return [read(Secret, item) for item in listed]

    def stop(self, service_id: str) -> None:
        """Have the task of a service ended. Raises `NoSuchWorkload`."""
        self.change(service_id, stopped)

    def avoid(self, service_id: str, nodes: Sequence[str]) -> None:
        """Have a task tried again, on other nodes. Raises `NoSuchWorkload`."""
        self.change(service_id, lambda spec: without_nodes(spec, nodes))

    def remove(self, service_id: str) -> None:
        """Remove a service, which frees its name; its tasks are ended. Raises `NoSuchWorkload`."""
        with told("remove", service_id):
            self._client.remove_service(service_id)  # type: ignore[no-untyped-call]

    def service(self, service_id: str) -> Service:
        """Raises `NoSuchWorkload`."""
        return read(Service, self._inspect(service_id))

    def services(self, labels: Mapping[str, str]) -> Sequence[Service]:
        """All with these labels."""
        listed = self._each("/services", {"label": label_filter(labels)})
        return [read(Service, item) for item in listed]

    def named(self, name: str) -> Service | None:
        """The service that has a name, or one that is the same to Swarm."""
        for item in self._each("/services", {"name": [name]}):
            service = read(Service, item)
            if service.name.lower() == name.lower():
                return service
        return None

    def names(self) -> Sequence[str]:
        """Those of all services."""
        return [read(Service, item).name for item in self._each("/services", {})]

    def tasks_of(self, *services: str) -> Sequence[Task]:
        """All of some services. Raises `NoSuchWorkload` if one of these does not exist."""
        items = self._each("/tasks", {"service": services}, services[0])
        return [read(Task, item) for item in items]

    def each_task(self, labels: Mapping[str, str]) -> Iterator[Any]:
        """All whose services have these labels, as they come."""
        return self._each("/tasks", {"label": label_filter(labels)})

    def nodes(self) -> Nodes:
        """All machines. A manager that has just become the leader knows nothing of them yet."""
        with told("info", ""):
            found = [read(Node, item) for item in self._client.nodes()]
        names = {node.ID: node.Description.Hostname for node in found}
        return Nodes(names, frozenset(each.ID for each in found if each.Status.State == _DOWN))

    def info(self) -> Info:
        """What it says of itself."""
        return read(Info, self._client.info())

    def check_leader(self) -> None:
        """Raise `EngineUnavailable` if there is none, so that nobody can change anything."""
        with told("ping", ""):
            self._client.inspect_swarm()

    def logs(self, service_id: str, *, lines: int) -> str | None:
        """The last lines that a service has written. Raises `NoSuchWorkload`.

        None if nobody has kept them. A manager answers nothing then, and no error.
        """
        with told("logs", service_id):
            output = self._client.last_output("services", service_id, lines)
        return output or (None if self.service(service_id).keeps_no_log else output)

    def change(self, service_id: str, change: Any) -> None:
        """Change the spec of a service; not at all if there is no new one."""
        for _ in range(_TRIES):
            found = self._inspect(service_id)
            spec = change(found["Spec"])
            if spec is None:
                return
            try:
                with told("stop", service_id):
                    version = {"version": found["Version"]["Index"]}
                    self._post(f"/services/{service_id}/update", spec, params=version)
            except StaleVersion:
                continue
            return
        raise EngineFailed(f"service {service_id}: others change it all the time")

    def _inspect(self, service_id: str) -> Any:
        with told("inspect", service_id):
            return self._client.inspect_service(service_id)  # type: ignore[no-untyped-call]

    def _post(self, path: str, data: Mapping[str, Any], **options: Any) -> Any:
        client: Any = self._client
        answer = client._post_json(client._url(path), data=data, **options)  # noqa: SLF001
        return client._result(answer, json=True)  # noqa: SLF001

    def _each(self, path: str, filters: Filters, target: str = "") -> Iterator[Any]:
        with told("list", target):
            yield from self._client.each(path, filters)
