"""HTTP over a Unix socket: kept, found dead, given up, and never mixed up."""

import gc
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import Any

import pytest

from service.engine.docker import unix_socket
from service.engine.docker.unix_socket import Answer, UnixSocket, _read

_LONG = 30.0


class _Handler(BaseHTTPRequestHandler):
    """Answers with the number of its connection, and with what it was asked for."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self._number = self.server.connections

    def do_GET(self) -> None:
        if self.path.startswith("/status/"):
            self.send_response(int(self.path.removeprefix("/status/")))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._answer(f"{self._number} {self.path}")
        self.close_connection = self.path in ("/bye", "/cut")  # without a word

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(f"{self.headers['Content-Type']} {sent}")

    def _answer(self, text: str) -> None:
        if self.path == "/slow":
            self.server.go_on.wait(_LONG)
        body = text.encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(body) + (self.path == "/cut")))
        if self.path == "/last":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        if self.path == "/last":  # its client is to close it
            self.server.go_on.wait(_LONG)

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "the other side of a Unix socket"


class _Server(ThreadingUnixStreamServer):
    connections = 0
    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, _Handler)
        self.go_on, self.hung_up = threading.Event(), threading.Event()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.hung_up.set()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    with _Server(str(tmp_path / "sock")) as made:
        threading.Thread(target=made.serve_forever, args=(0.01,)).start()
        yield made
        made.go_on.set()
        made.shutdown()


@pytest.fixture
def unix(server: _Server) -> Iterator[UnixSocket]:
    client = UnixSocket(str(server.server_address))
    yield client
    client.close()


def _get(unix: UnixSocket, target: str, timeout: float = 10) -> str:
    return unix.request("GET", target, timeout=timeout).text


def test_a_connection_is_kept(unix: UnixSocket) -> None:
    assert ["1 /a", "1 /b"] == [_get(unix, "/a"), _get(unix, "/b")]


def test_a_connection_that_the_other_side_has_closed_is_replaced(
    unix: UnixSocket, server: _Server
) -> None:
    assert "1 /bye" == _get(unix, "/bye")
    assert server.hung_up.wait(_LONG)
    assert "2 /a" == _get(unix, "/a")


def test_what_takes_too_long_is_given_up_and_its_answer_is_nobody_elses(
    unix: UnixSocket, server: _Server
) -> None:
    assert "1 /a" == _get(unix, "/a")
    with pytest.raises(TimeoutError):
        _get(unix, "/slow", timeout=0.05)
    assert "2 /b" == _get(unix, "/b")
    server.go_on.set()
    assert "2 /slow" == _get(unix, "/slow")  # with the limit of this call


def test_the_first_call_has_its_limit_too(unix: UnixSocket) -> None:
    with pytest.raises(TimeoutError):
        _get(unix, "/slow", timeout=0.05)


def test_an_answer_that_is_cut_is_an_error_and_its_connection_is_replaced(
    unix: UnixSocket,
) -> None:
    with pytest.raises(IncompleteRead):
        _get(unix, "/cut")
    assert "2 /a" == _get(unix, "/a")


@pytest.mark.parametrize("status", [302, 103])
def test_what_is_no_final_answer_is_an_error(unix: UnixSocket, status: int) -> None:
    """To docker-py a redirection would be a success: a container that does not run was started."""
    with pytest.raises(HTTPException, match=str(status)):
        _get(unix, f"/status/{status}")
    assert 304 == unix.request("GET", "/status/304", timeout=10).status_code


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Callable[[bytes], UnixSocket]]:
    """A client of something that says the same to everybody, and hangs up."""
    with ExitStack() as stack:

        def start(answer: bytes) -> UnixSocket:
            path = str(tmp_path / "fixed")

            class Fixed(StreamRequestHandler):
                def handle(self) -> None:
                    self.request.recv(10_000)  # what is left unread resets the connection
                    self.wfile.write(answer)

            server = stack.enter_context(ThreadingUnixStreamServer(path, Fixed))
            threading.Thread(target=server.serve_forever, args=(0.01,)).start()
            stack.callback(server.shutdown)
            return UnixSocket(path)

        yield start


_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_who_answers_before_all_is_read_is_heard(
    answering: Callable[[bytes], UnixSocket],
) -> None:
    unix = answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    answer = unix.request("POST", "/", timeout=10, data="x" * 3_000_000)
    assert (403, "no") == (answer.status_code, answer.text)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", "until the end"),
        (b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n", "ab"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.1 200 \xe4\r\nX: \xe4\r\nContent-Length: 1\r\n\r\na", "a"),
    ],
)
def test_an_answer_ends_where_it_says(
    answering: Callable[[bytes], UnixSocket], answer: bytes, text: str
) -> None:
    assert text == _get(answering(answer), "/")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", RemoteDisconnected),
        (b"HTTP/1.1 200 OK\r\nContent-Le", RemoteDisconnected),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno", IncompleteRead),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", IncompleteRead),
        (b"SSH-2.0-OpenSSH_9.2\r\n", BadStatusLine),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", BadStatusLine),
        (_OK + _OK, BadStatusLine),
        (_OK + b"HTTP/1.1 500 Oops\r\nContent-Le", BadStatusLine),
        (b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n" + _OK, BadStatusLine),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + _OK, BadStatusLine),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n",
            BadStatusLine,
        ),
    ],
)
def test_what_is_no_answer_is_an_error(
    answering: Callable[[bytes], UnixSocket], answer: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        _get(answering(answer), "/")


def test_an_answer_may_come_in_parts(tmp_path: Path) -> None:
    class Slow(StreamRequestHandler):
        def handle(self) -> None:
            self.request.recv(10_000)
            for part in b"HTTP/1.1 404 Not ", b"Found\r\nContent-", b"Length: 4\r\n\r\ngo", b"ne":
                self.wfile.write(part)
                time.sleep(0.05)

    with ThreadingUnixStreamServer(str(tmp_path / "slow"), Slow) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        answer = UnixSocket(str(tmp_path / "slow")).request("GET", "/", timeout=10)
        server.shutdown()
    assert (404, "Not Found", "gone") == (answer.status_code, answer.reason, answer.text)


@pytest.mark.parametrize("raw", [_OK, _OK[:-1], b"nonsense", b"HTTP/1.0 200 OK\r\n\r\nok"])
def test_an_answer_is_no_garbage_that_has_to_be_found(
    raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is found seldom, as here, would be hundreds of MB of answers."""
    made: list[weakref.ref[Answer]] = []

    class Seen(Answer):
        def __init__(self) -> None:
            super().__init__()
            made.append(weakref.ref(self))

    monkeypatch.setattr(unix_socket, "Answer", Seen)
    ours, theirs = socket.socketpair()
    theirs.sendall(raw)
    theirs.close()
    gc.disable()
    try:
        with ours, suppress(HTTPException):
            _read(ours)
        assert [None] == [each() for each in made]
    finally:
        gc.enable()


@pytest.mark.parametrize("value", ["a\nb", "a\rb"])
def test_a_header_that_would_be_two_is_not_sent(unix: UnixSocket, value: str) -> None:
    with pytest.raises(HTTPException):
        unix.request("GET", "/a", timeout=10, headers={"X": value})


def test_a_connection_that_is_to_be_closed_is_not_used_again(unix: UnixSocket) -> None:
    """Before the other side gets to closing it, too."""
    assert ["1 /last", "2 /a"] == [_get(unix, "/last"), _get(unix, "/a")]


def test_parameters_that_are_not_given_are_left_out(unix: UnixSocket) -> None:
    params = {"name": "a b", "all": 1, "since": None, "force": True}
    answer = unix.request("GET", "/a", timeout=10, params=params)
    assert "1 /a?name=a+b&all=1&force=True" == answer.text
    assert HTTPStatus.OK == answer.status_code


def test_a_body_is_sent_with_its_headers_and_taken_as_what_it_is(unix: UnixSocket) -> None:
    headers = {"Content-Type": "application/json"}
    answer = unix.request("POST", "/a", timeout=10, data='{"ä": "☃"}', headers=headers)
    assert 'application/json {"ä": "☃"}' == answer.text


def test_where_nobody_listens_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _get(UnixSocket(str(tmp_path / "none")), "/")
