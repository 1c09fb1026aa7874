"""An HTTP/1.1 server on asyncio. h11 parses requests and formats answers.

It limits the number of connections, the size of a request's head, and the time for receiving a
request and for sending an answer.
"""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter, WriteTransport
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import h11

from observability.http_handshakes import Tls, shake_hands
from observability.http_pages import Answer, Request, Responder, text_answer

# At this limit, a new connection replaces the one that has been idle for the longest time.
_MOST_CONNECTIONS = 64
# For receiving a request, and for sending an answer (seconds each).
_TIMEOUT = 10.0
# For a refused client to stop sending: otherwise it might not read the answer (seconds).
_LINGER = 1.0
_HEAD_BYTES = 16 * 1024
_READ_BYTES = 64 * 1024


class Connections:
    """All open connections."""

    def __init__(self, respond: Responder) -> None:
        self._respond = respond
        self._open: set[object] = set()
        # Those that wait for the client, the longest first, and what hangs up on each.
        self._idle: dict[object, Callable[[], object]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, accepted: socket.socket, tls: Tls) -> None:
        """Serve a connection that begins with a TLS handshake."""
        if not self._make_room():
            accepted.close()
            return
        task = asyncio.create_task(self._serve_after_handshake(accepted, tls))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open.add(accepted)
        self._idle[accepted] = task.cancel

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve a connection until the client closes it or a timeout expires."""
        transport = writer.transport
        if not self._make_room():
            transport.abort()
            return
        self._open.add(transport)
        try:
            await self._serve_requests(_Connection(reader, writer), transport)
            writer.close()
        except OSError:  # a reset, or a timeout
            transport.abort()
        except BaseException:
            transport.abort()
            raise
        finally:
            self._forget(transport)

    async def _serve_requests(self, connection: "_Connection", transport: WriteTransport) -> None:
        while True:
            self._idle[transport] = transport.abort
            try:
                request = await connection.receive()
            except h11.RemoteProtocolError as error:
                await connection.refuse(error)
                return
            finally:
                self._idle.pop(transport, None)
            if request is None or not await connection.send(await self._respond(request)):
                return

    async def _serve_after_handshake(self, accepted: socket.socket, tls: Tls) -> None:
        try:
            reader, writer = await shake_hands(accepted, tls)
        except OSError:
            return
        finally:
            self._forget(accepted)
        await self.serve(reader, writer)

    def _make_room(self) -> bool:
        if len(self._open) < _MOST_CONNECTIONS:
            return True
        if not self._idle:
            return False
        longest, hang_up = next(iter(self._idle.items()))
        self._forget(longest)
        hang_up()
        return True

    def _forget(self, connection: object) -> None:
        self._idle.pop(connection, None)
        self._open.discard(connection)


class _Connection:
    """A connection. Its methods raise `OSError` when it is lost, also for a timeout."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._is_head = False
        self._peer = _shown(writer.get_extra_info("peername"))
        writer.transport.set_write_buffer_limits(high=0)  # `drain` then waits for everything

    async def receive(self) -> Request | None:
        """The next request; None at the end of the connection. Raises `RemoteProtocolError`."""
        self._is_head = False
        async with asyncio.timeout(_TIMEOUT):
            request = await self._read()
        if request is None:
            return None
        path, query = _split_target(request.target.decode("ascii"))
        return Request(request.method.decode("ascii"), path, query, _joined(request), self._peer)

    async def _read(self) -> h11.Request | None:
        """Read a request, and drop its body."""
        request = None
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    return request
                self._http.receive_data(await self._reader.read(_READ_BYTES))
            elif isinstance(event, h11.Request):
                request = event
                self._is_head = event.method == b"HEAD"
            elif isinstance(event, h11.EndOfMessage):
                return request
            elif isinstance(event, h11.ConnectionClosed):
                return None

    async def send(self, answer: Answer) -> bool:
        """Send an answer. Return whether another request may follow."""
        length = ("Content-Length", str(len(answer.body)))
        date = ("Date", formatdate(usegmt=True))
        head = h11.Response(
            status_code=answer.status,
            reason=answer.status.phrase,
            headers=[*answer.headers, length, date],
        )
        body = b"" if self._is_head else answer.body
        parts = (head, h11.Data(data=body), h11.EndOfMessage())
        async with asyncio.timeout(_TIMEOUT):
            self._writer.write(b"".join(self._http.send(part) or b"" for part in parts))
            await self._writer.drain()
        if not (self._http.our_state is self._http.their_state is h11.DONE):
            return False
        self._http.start_next_cycle()
        return True

    async def refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer a request that cannot be parsed."""
        text, close = f"not a request: {error}", ("Connection", "close")
        await self.send(text_answer(error.error_status_hint, text, close))
        if self._writer.can_write_eof():  # not with TLS
            self._writer.write_eof()
        async with asyncio.timeout(_LINGER):
            while await self._reader.read(_READ_BYTES):
                pass


def _split_target(target: str) -> tuple[str, str]:
    """Path and query of a request target, which may be a whole URL."""
    path, _, query = target.partition("?")
    if not path.startswith("/"):
        path = path.partition("://")[2].partition("/")[2]
    return unquote("/" + path.lstrip("/")), query


def _joined(request: h11.Request) -> Mapping[str, str]:
    """The headers. Several values of one header are joined, so that none of them is overlooked."""
    headers: dict[str, str] = {}
    for name, value in request.headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _shown(peer: Any) -> str:
    """ADDRESS:PORT or [ADDRESS]:PORT of a socket's peer, as gRPC has it; "" once it has gone."""
    if not peer:
        return ""
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
