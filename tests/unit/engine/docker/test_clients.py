"""What answers where the Engine should be may be something else."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer, UnixStreamServer

import pytest

from service.engine.docker import connection
from service.engine.docker.client import Client
from service.engine.docker.connection import Clients, Connection
from service.engine.docker.error_mapping import translated_errors
from service.engine.docker.podman import PodmanClient
from service.errors import EngineUnavailable

_NOT_DOCKER = "the program that answers there is not a Docker Engine"
Serve = Callable[[bytes], str]


@pytest.fixture(params=["tcp", "unix"])
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serve]:
    """Something that answers everything in the same way; its address."""
    with ExitStack() as stack:

        def start(answer: bytes) -> str:
            class Handler(StreamRequestHandler):
                def handle(self) -> None:
                    self.request.recv(10_000)  # what is left unread would reset the connection
                    self.wfile.write(answer)

            server: TCPServer
            if request.param == "tcp":
                server = TCPServer(("127.0.0.1", 0), Handler)
                address = f"tcp://127.0.0.1:{server.server_address[1]}"
            else:
                server = UnixStreamServer(str(tmp_path / "sock"), Handler)
                address = f"unix://{tmp_path}/sock"
            threading.Thread(target=server.serve_forever, args=(0.01,)).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return address

        yield start


def told(address: str) -> str:
    with pytest.raises(EngineUnavailable) as caught, translated_errors("ping", ""):
        Clients(Connection(address)).get()
    return caught.value.message.removeprefix("the Docker Engine cannot be reached: ")


def http(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    "answer",
    [
        http("<html>"),
        http("{}"),
        http("[]"),
        http("null"),
        http('{"ApiVersion": "x"}'),
        http('{"ApiVersion": 1.41}'),
        http('{"ApiVersion": null}'),
        http(""),
        http("[" * 100_000),
        http('"a text"', "404 Not Found"),
        http("not here", "404 Not Found"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n{}",
    ],
)
def test_what_is_not_docker_is_told(serve: Serve, answer: bytes) -> None:
    assert _NOT_DOCKER == told(serve(answer))


def test_an_engine_that_is_too_old_is_told(serve: Serve) -> None:
    assert "no longer supported" in told(serve(http('{"ApiVersion": "1.10"}')))


def test_a_connection_that_is_closed_is_told(serve: Serve) -> None:
    address = serve(b"")
    assert ("ConnectionError" if "tcp" in address else "RemoteDisconnected") == told(address)


def test_an_answer_that_is_cut_is_told(serve: Serve) -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    address = serve(cut)
    assert ("ChunkedEncodingError" if "tcp" in address else "IncompleteRead") == told(address)


def test_a_proxy_of_the_environment_is_not_asked(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    address = serve(http('{"ApiVersion": "1.41"}'))
    assert "1.41" == Clients(Connection(address)).get().api_version


def test_headers_go_with_each_call(tmp_path: Path) -> None:
    asked: list[bytes] = []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.request.recv(10_000))
            self.wfile.write(http('{"ApiVersion": "1.41", "Id": "x"}'))

    with UnixStreamServer(str(tmp_path / "sock"), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        connection = Connection(f"unix://{tmp_path}/sock", headers={"X-Token": "t0ken"})
        client = Clients(connection).get()
        client.ping()
        client.create_container("image")
        client.events(decode=False)
        server.shutdown()
    assert 4 == len(asked)
    assert all(b"X-Token: t0ken\r\n" in head for head in asked)


STOPS_AT_SIGINT = {
    "Id": "c",
    "State": {
        "Status": "running",
        "Paused": False,
        "OOMKilled": False,
        "ExitCode": 0,
        "StartedAt": "2026-01-01T00:00:00Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    },
    "Config": {"StopSignal": "SIGINT"},
}


@pytest.mark.parametrize(
    ("version", "kill", "status", "asked"),
    [
        ("1.41", "204 No Content", None, ["stop?t=10"]),
        ("1.42", "204 No Content", None, ["json", "kill?signal=SIGINT", "wait"]),
        ("1.43", "204 No Content", None, ["json", "kill?signal=SIGINT", "wait"]),
        ("1.43", "409 Conflict", 304, ["json", "kill?signal=SIGINT"]),
        ("1.44", "204 No Content", None, ["stop?t=10"]),
    ],
)
def test_no_engine_is_left_with_a_stop_that_then_sends_sigkill(
    tmp_path: Path, version: str, kill: str, status: int | None, asked: list[str]
) -> None:
    """Docker 23 and 24 do so; nothing but a look and a kill are answered here."""
    paths: list[str] = []
    seen = json.dumps(STOPS_AT_SIGINT).encode()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            while head := self.request.recv(10_000).decode():
                paths.append(head.split(" ")[1].rpartition("/")[2])
                if head.startswith("GET"):
                    length = f"HTTP/1.1 200 OK\r\nContent-Length: {len(seen)}\r\n"
                    self.wfile.write(f"{length}Content-Type: application/json\r\n\r\n".encode())
                    self.wfile.write(seen)
                if "/kill" in head:
                    self.wfile.write(f"HTTP/1.1 {kill}\r\nContent-Length: 0\r\n\r\n".encode())

    with UnixStreamServer(str(tmp_path / "sock"), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        client = Client(f"unix://{tmp_path}/sock", None, {})
        client.use_version(version)
        runs = client.keeps_grace or client.terminate("c")
        answer = client.ask_to_stop("c", 10, within=1) if runs else 304
        client.close()
        server.shutdown()
    assert (status, asked) == (answer, paths)


def test_the_client_that_has_found_a_podman_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another kind of client takes its place, and its connection would stay open."""
    closed: list[type[Client]] = []
    monkeypatch.setattr(connection, "_detect", lambda _: (PodmanClient, "1.41"))
    monkeypatch.setattr(Client, "close", lambda client: closed.append(type(client)))
    made = Clients(Connection("unix:///nowhere")).negotiate()
    assert (PodmanClient, [Client]) == (type(made), closed)
