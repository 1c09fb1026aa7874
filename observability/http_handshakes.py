"""TLS handshakes of the HTTP endpoint."""

import asyncio
import ssl
from asyncio import StreamReader, StreamReaderProtocol, StreamWriter
from collections.abc import Callable
from typing import NamedTuple, cast

# For a handshake, and for the end of a connection (seconds).
_TIMEOUT = 10.0
_SHUTDOWN_TIMEOUT = 1.0


class Tls(NamedTuple):
    """How an endpoint speaks TLS."""

    context: Callable[[], ssl.SSLContext]  # for a new connection
    on_failure: Callable[[str, str], None]  # gets the error of a failed handshake, and the client


class AcceptedConnection(asyncio.Protocol):
    """A connection whose first byte is for TLS to read.

    A server with `ssl` would not tell of connections before their handshake, nor of those that
    fail, so their number could not be limited.
    """

    def __init__(self, accept: Callable[[asyncio.Transport], object]) -> None:
        self._accept = accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        accepted = cast("asyncio.Transport", transport)
        accepted.pause_reading()
        self._accept(accepted)


async def shake_hands(transport: asyncio.Transport, tls: Tls) -> tuple[StreamReader, StreamWriter]:
    """The streams of the connection after its handshake. Raises `OSError`, also for a timeout."""
    loop = asyncio.get_running_loop()
    reader = StreamReader(loop=loop)
    protocol = _Stream(reader, loop=loop)
    try:
        secured = await loop.start_tls(
            transport,
            protocol,
            tls.context(),
            server_side=True,
            ssl_handshake_timeout=_TIMEOUT,
            ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT,
        )
    except ssl.SSLError as error:
        tls.on_failure(str(error), _address(transport))
        raise
    if secured is None:  # aborted meanwhile
        raise ConnectionAbortedError
    protocol.connection_made(secured)
    return reader, StreamWriter(secured, protocol, reader, loop)


class _Stream(StreamReaderProtocol):
    def eof_received(self) -> bool:
        """Close the connection. To keep it open, as by default, is not possible with TLS."""
        super().eof_received()
        return False


def _address(transport: asyncio.Transport) -> str:
    """The client as ADDRESS:PORT or [ADDRESS]:PORT; empty if it has gone."""
    found = transport.get_extra_info("peername")
    if not found:
        return ""
    host, port = found[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
