"""The API of the simulated Swarm, on a Unix socket."""

import json
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.simulated_manager.swarm import Refused, SimulatedSwarm
from tests.simulated_manager.tasks import HOSTNAME, NODE, node_id

_API = "1.41"
_VERSION = {"Version": "20.10.24", "ApiVersion": _API, "MinAPIVersion": "1.12"}
_INFO = {
    "Name": HOSTNAME,
    "Swarm": {"NodeID": NODE, "LocalNodeState": "active", "ControlAvailable": True, "Error": ""},
}


class SimulatedManager:
    """Listens from `start` on. As a daemon does, it may crash, come back, hang and go on."""

    def __init__(self, path: Path, swarm: SimulatedSwarm) -> None:
        self.path, self.swarm = path, swarm
        self.answers = threading.Event()  # while it is not set, nothing is answered
        self.answers.set()
        self.lists_nodes = threading.Event()  # while it is not set, nobody learns the nodes
        self.lists_nodes.set()
        self._server: _Server | None = None

    @property
    def host(self) -> str:
        """The DOCKER_HOST of its clients."""
        return f"unix://{self.path}"

    def start(self) -> None:
        """Listen, if it does not."""
        if self._server is None:
            self.path.unlink(missing_ok=True)
            self._server = _Server(self)
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Hang up on everybody, and listen no more. The file of the socket stays."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.hang_up()

    @property
    def connected(self) -> int:
        """How many connections its clients keep open."""
        return len(self._server.connections) if self._server is not None else 0


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, manager: SimulatedManager) -> None:
        self.manager = manager
        self.connections: set[socket.socket] = set()
        super().__init__(str(manager.path), _Handler)

    def hang_up(self) -> None:
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_DELETE = do_GET  # noqa: N815

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.manager.answers.wait()
        try:
            status, answer = HTTPStatus.OK, self._answer(body)
        except Refused as refused:
            status, answer = refused.status, json.dumps({"message": refused.message}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _answer(self, body: bytes) -> bytes:  # noqa: C901, PLR0911 - a case, a return
        url = urlsplit(self.path)
        parts = [part for part in url.path.split("/") if part]
        if parts and parts[0].startswith("v1."):
            del parts[0]
        asked = _Asked(parse_qs(url.query), body)
        swarm = self.server.manager.swarm
        match self.command, parts:
            case "GET", ["_ping"]:
                return b"OK"
            case "GET", [name] if name in _FIXED:
                return json.dumps(_FIXED[name]).encode()
            case "GET", ["nodes"]:
                self.server.manager.lists_nodes.wait()
                return json.dumps([_node(number) for number in range(swarm.nodes)]).encode()
            case "GET", ["tasks"]:
                found = swarm.tasks(asked.filter("label"), asked.filter("service"))
                return b"[" + b",".join(found) + b"]"
            case "GET", ["services"]:
                listed = swarm.services(asked.filter("label"), asked.filter("name"))
                return json.dumps(listed).encode()
            case "GET", ["services", service]:
                return json.dumps(swarm.service(service)).encode()
            case "GET", ["tasks", task, "logs"]:
                return swarm.logs(task, int(asked.value("tail")))
            case "GET", ["containers", "json"]:
                return b"[]"
            case "POST", ["services", "create"]:
                return json.dumps({"ID": swarm.create(asked.json())}).encode()
            case "POST", ["services", service, "update"]:
                swarm.update(service, int(asked.value("version")), asked.json())
                return b"{}"
            case "DELETE", ["services", service]:
                swarm.remove(service)
                return b""
        raise Refused(HTTPStatus.NOT_FOUND, "page not found")


def _node(number: int) -> Mapping[str, Any]:
    """The first is the manager."""
    found = {
        "ID": node_id(number),
        "Version": {"Index": 9},
        "Spec": {"Role": "worker" if number else "manager", "Availability": "active"},
        "Description": {"Hostname": f"{HOSTNAME}-{number + 1}" if number else HOSTNAME},
        "Status": {"State": "ready", "Addr": "127.0.0.1"},
    }
    manages = {"ManagerStatus": {"Leader": True, "Reachability": "reachable"}}
    return found if number else found | manages


_FIXED: Mapping[str, Any] = {
    "version": _VERSION,
    "info": _INFO,
    "swarm": {"ID": "simulatedswarm00000000001"},
}


class _Asked:
    """What a request has beside its path."""

    def __init__(self, query: Mapping[str, Sequence[str]], body: bytes) -> None:
        self._query, self._body = query, body

    def value(self, name: str) -> str:
        return self._query[name][0]

    def filter(self, name: str) -> Sequence[str]:
        filters = json.loads(self._query.get("filters", ["{}"])[0])
        found: Sequence[str] = filters.get(name, [])
        return found

    def json(self) -> Any:
        return json.loads(self._body)
