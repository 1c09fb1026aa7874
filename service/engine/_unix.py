"""HTTP over a Unix socket: what docker-py's calls need of it, and no more."""

import http.client
import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

from docker.constants import DEFAULT_USER_AGENT
from requests import Response

_AGENT = {"User-Agent": DEFAULT_USER_AGENT}


class UnixSocket:
    """A connection that is kept from call to call. Not for two threads at once."""

    def __init__(self, path: str) -> None:
        self._connection = _Connection(path)

    def request(
        self,
        method: str,
        target: str,
        *,
        timeout: float,
        params: Mapping[str, Any] | None = None,
        data: str | None = None,
        headers: Mapping[str, str] | None = None,
        # What docker-py always says besides; here it changes nothing.
        stream: bool = False,  # noqa: ARG002
        json: None = None,  # noqa: ARG002
        allow_redirects: bool = True,  # noqa: ARG002
    ) -> Response:
        """Ask, and take the whole answer; `timeout` is for each wait (seconds).

        Raises `OSError` (`TimeoutError` among them) and `http.client.HTTPException`.
        """
        if params:
            target = f"{target}?{urlencode(_given(params))}"
        self._connection.prepare(timeout)
        try:
            body = None if data is None else data.encode()
            with suppress(BrokenPipeError):  # who has not read all may have answered all the same
                self._connection.request(method, target, body, {**_AGENT, **_given(headers or {})})
            return _response(target, self._connection.getresponse())
        except BaseException:
            self.close()  # an answer that is still to come would be taken for that of the next call
            raise

    def close(self) -> None:
        """Hang up. The next call connects anew."""
        self._connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def prepare(self, timeout: float) -> None:
        """Set the time limit of the next call, and see that it meets no connection that is dead."""
        self.timeout = timeout
        if self.sock is None:
            return
        if _can_be_read(self.sock):  # nothing is to come: an Engine that was restarted has hung up
            self.close()
        else:
            self.sock.settimeout(timeout)


def _given(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without those that are None, as requests has it."""
    return {name: value for name, value in options.items() if value is not None}


def _can_be_read(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _response(target: str, answer: http.client.HTTPResponse) -> Response:
    if not _is_final(answer.status):
        raise http.client.HTTPException(f"status {answer.status}")
    response = Response()
    response.url, response.status_code, response.reason = target, answer.status, answer.reason
    response.headers.update(answer.getheaders())
    response.encoding = "utf-8"  # as all JSON is; requests would guess
    response.raw = BytesIO(answer.read())
    return response


def _is_final(status: int) -> bool:
    """Whether it is an Engine's answer; to docker-py a redirection would be a success."""
    redirects = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    return status >= HTTPStatus.OK and (not redirects or status == HTTPStatus.NOT_MODIFIED)
