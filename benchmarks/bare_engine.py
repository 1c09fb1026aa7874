"""The Engine's HTTP API without a library: the lower bound for a launch and a kill."""

import http.client
import json
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.calls import identifier_of

# 50 containers take longer with ten at a time; hundreds take longer with more than 16.
_ALL_AT_ONCE, _OF_MANY_AT_ONCE = 50, 16
# The label of another instance, so that the supervisor ignores these containers.
OTHER_INSTANCE = {"area.supervisor.instance": "bare"}
# After this, an Engine that has deadlocked ends the run (seconds).
_TIMEOUT = 60
_OF_THE_HOST = ("Hostname", "Domainname")


class BareEngine:
    """Creates, starts, stops and removes containers."""

    def __init__(self, path: Path) -> None:
        self._call = Api(path).call
        self._pools = {many: ThreadPoolExecutor(many) for many in (_ALL_AT_ONCE, _OF_MANY_AT_ONCE)}
        self._running: list[str] = []
        self._body: dict[str, Any] = {}

    def copy_options(self, container_id: str) -> None:
        """Use the options of this container for all launches."""
        seen = self._call("GET", f"/containers/{container_id}/json")
        config = {key: value for key, value in seen["Config"].items() if key not in _OF_THE_HOST}
        labels = config["Labels"] | OTHER_INSTANCE
        self._body = config | {"Labels": labels, "HostConfig": seen["HostConfig"]}

    def only_container(self) -> str:
        """The id of the only running container."""
        (found,) = self._call("GET", "/containers/json")
        container_id: str = found["Id"]
        return container_id

    def launch(self, number: int) -> None:
        """Create and start a container."""
        name = f"bare-{identifier_of(number)}"
        container_id = self._call("POST", f"/containers/create?name={name}", self._body)["Id"]
        self._call("POST", f"/containers/{container_id}/start")
        self._running.append(container_id)

    def end_all(self) -> None:
        """Stop and remove all launched containers concurrently."""
        many = len(self._running) > _ALL_AT_ONCE
        pool = self._pools[_OF_MANY_AT_ONCE if many else _ALL_AT_ONCE]
        list(pool.map(self._end, self._running))
        self._running.clear()

    def _end(self, container_id: str) -> None:
        self._call("POST", f"/containers/{container_id}/stop?t=5")
        self._call("DELETE", f"/containers/{container_id}?v=1")


class Api:
    """The API on a socket. Each thread keeps its connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What is answered, read. Raises `RuntimeError`."""
        connection = self._connection()
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {answer.status} {text!r}")
        return json.loads(text) if text else None

    def _connection(self) -> "_UnixConnection":
        if not hasattr(self._local, "connection"):
            self._local.connection = _UnixConnection(self._path)
        connection: _UnixConnection = self._local.connection
        return connection


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(str(self._path))
