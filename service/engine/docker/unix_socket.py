"""HTTP over a Unix socket, as far as docker-py's calls need it."""

import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

from docker.constants import DEFAULT_USER_AGENT
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from requests import Response

_HEADERS = {
    "Host": "localhost",
    "User-Agent": DEFAULT_USER_AGENT,
    "Accept-Encoding": "identity",
}
# Either header says where an answer ends. Without both, it ends with the connection.
_FRAMING = (b"content-length", b"transfer-encoding")
_READ_BYTES = 64 * 1024


class UnixSocket:
    """A connection that is kept open between calls. Only for one thread at a time."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: socket.socket | None = None

    def request(
        self,
        method: str,
        target: str,
        *,
        timeout: float,
        params: Mapping[str, Any] | None = None,
        data: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        # docker-py always passes these, and they have no effect here.
        stream: bool = False,  # noqa: ARG002
        json: None = None,  # noqa: ARG002
        allow_redirects: bool = True,  # noqa: ARG002
    ) -> Response:
        """Send a request, and receive the whole answer. `timeout` limits each wait (seconds).

        Raises `OSError` (`TimeoutError` among them) and `http.client.HTTPException`.
        """
        if params:
            target = f"{target}?{urlencode(_given(params))}"
        message = message_of(method, target, _given(headers or {}), data)
        try:
            connection = self._connected(timeout)
            with suppress(BrokenPipeError):  # the Engine may answer without reading everything
                connection.sendall(message)
            answer = _read(connection)
            if not answer.leaves_open:
                self.close()
            return response_of(target, answer)
        except BaseException:
            self.close()  # a late answer would be taken for the answer to the next call
            raise

    def close(self) -> None:
        """Disconnect. The next call connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self, timeout: float) -> socket.socket:
        """The connection, or a new one if the Engine has closed it."""
        if self._connection is not None and _can_be_read(self._connection):
            self.close()  # no answer is expected, so a restarted Engine has closed it
        if self._connection is not None:
            self._connection.settimeout(timeout)
            return self._connection
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(timeout)
        self._connection.connect(self._path)
        return self._connection


class Answer:
    """Receives an answer. httptools calls the methods `on_...`."""

    def __init__(self) -> None:
        self.status = 0
        self.reason = ""
        self.begun = False  # its head is complete
        self.ended = False
        self.leaves_open = False
        self._framed = False
        self._body: list[bytes] = []
        self._parser = HttpResponseParser(self)

    @property
    def body(self) -> bytes:
        """The bytes received so far."""
        return b"".join(self._body)

    def take(self) -> bytes:
        """The bytes received since the last time, which are forgotten."""
        body = self.body
        self._body.clear()
        return body

    def feed(self, received: bytes) -> None:
        """Parse the next bytes; b"" at the end of the connection."""
        if received:
            self._parser.feed_data(received)
        elif not self.status:
            raise RemoteDisconnected("without an answer")
        elif self._framed:
            raise IncompleteRead(self.body)
        else:
            self.ended = True

    def drop_parser(self) -> None:
        """Break the reference cycle with the parser: garbage is collected rarely here."""
        del self._parser

    def on_message_begin(self) -> None:
        if self.ended:
            raise ValueError("more than one answer")

    def on_status(self, reason: bytes) -> None:
        self.reason += reason.decode("latin-1")  # it may arrive in parts

    def on_header(self, name: bytes, _: bytes) -> None:
        self._framed = self._framed or name.lower() in _FRAMING

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.begun = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.ended = True
        self.leaves_open = self._parser.should_keep_alive()


def message_of(
    method: str, target: str, headers: Mapping[str, str], data: str | bytes | None
) -> bytes:
    """A request, as it is sent."""
    body = data if isinstance(data, bytes) else (data or "").encode()
    fields = {**_HEADERS, **headers, "Content-Length": len(body)}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise HTTPException("a line that would be two")  # from a value in config.json
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _read(connection: socket.socket) -> Answer:
    answer = Answer()
    try:
        while not answer.ended:
            answer.feed(connection.recv(_READ_BYTES))
    except (HttpParserError, HttpParserUpgrade) as error:
        raise BadStatusLine(str(error)) from None
    finally:
        answer.drop_parser()
    return answer


def _given(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options that are not None, as in requests."""
    return {name: value for name, value in options.items() if value is not None}


def _can_be_read(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def response_of(target: str, answer: Answer) -> Response:
    """An answer, as docker-py knows it."""
    if not _is_final(answer.status):
        raise HTTPException(f"status {answer.status}")
    response = Response()
    response.url, response.status_code, response.reason = target, answer.status, answer.reason
    response.encoding = "utf-8"  # as all JSON is; requests would guess
    response.raw = BytesIO(answer.body)
    return response


def _is_final(status: int) -> bool:
    """Whether this is the status of a final answer. docker-py would take redirects for success."""
    redirects = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    return status >= HTTPStatus.OK and (not redirects or status == HTTPStatus.NOT_MODIFIED)
