"""What answers where the Engine should be may be something else."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from service.engine._calls import mapped
from service.engine._dockerpy import Clients, Connection
from service.errors import EngineUnavailable

_NOT_DOCKER = "what answers there is not a Docker Engine"
Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Something that answers everything in the same way; its address."""
    with ExitStack() as stack:

        def start(answer: bytes) -> str:
            class Handler(BaseHTTPRequestHandler):
                def handle(self) -> None:
                    self.rfile.readline()
                    self.wfile.write(answer)

            server = HTTPServer(("127.0.0.1", 0), Handler)
            threading.Thread(target=server.serve_forever, args=(0.01,)).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"tcp://127.0.0.1:{server.server_port}"

        yield start


def told(address: str) -> str:
    with pytest.raises(EngineUnavailable) as caught, mapped("ping", ""):
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
        http("not here", "404 Not Found"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_what_is_not_docker_is_told(serve: Serve, answer: bytes) -> None:
    assert _NOT_DOCKER == told(serve(answer))


def test_an_engine_that_is_too_old_is_told(serve: Serve) -> None:
    assert "no longer supported" in told(serve(http('{"ApiVersion": "1.10"}')))


def test_a_connection_that_is_closed_is_told(serve: Serve) -> None:
    assert "ConnectionError" == told(serve(b""))
