"""TLS handshakes of the ports of HTTP.

asyncio's server reports neither connections before their handshake nor failed handshakes.
So this accepts connections by itself: their number is limited from the start, and failures count.
"""

import asyncio
import socket
import ssl
from asyncio import BaseProtocol, StreamReader, StreamReaderProtocol, StreamWriter, Transport
from collections.abc import Callable
from typing import NamedTuple

# For a handshake, and for the end of a connection (seconds).
_TIMEOUT = 10.0
_SHUTDOWN_TIMEOUT = 1.0
# After a connection that could not be accepted: the process may open no more files (seconds).
_PAUSE = 0.1


class Tls(NamedTuple):
    """How an endpoint speaks TLS."""

    context: Callable[[], ssl.SSLContext]  # for a new connection
    on_failure: Callable[[str, str], None]  # gets the error of a failed handshake, and the client


async def accept_each(listening: socket.socket, serve: Callable[[socket.socket], object]) -> None:
    """Accept connections until cancelled."""
    listening.settimeout(0)
    loop = asyncio.get_running_loop()
    while True:
        try:
            accepted, _ = await loop.sock_accept(listening)
        except OSError:
            await asyncio.sleep(_PAUSE)
        else:
            serve(accepted)


async def shake_hands(accepted: socket.socket, tls: Tls) -> tuple[StreamReader, StreamWriter]:
    """The streams of a connection after its handshake. Raises `OSError`, also for a timeout."""
    loop = asyncio.get_running_loop()
    reader = StreamReader(loop=loop)
    protocol = _Stream(reader, loop=loop)
    transport = await secure(accepted, tls, protocol, _SHUTDOWN_TIMEOUT)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def secure(
    accepted: socket.socket, tls: Tls, protocol: BaseProtocol, shutdown_timeout: float
) -> Transport:
    """Connect a protocol after a handshake. Raises `OSError`, also for a timeout."""
    peer = ""
    try:
        peer = _address(accepted)
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: protocol,
            accepted,
            ssl=tls.context(),
            ssl_handshake_timeout=_TIMEOUT,
            ssl_shutdown_timeout=shutdown_timeout,
        )
    except BaseException as error:
        accepted.close()
        if isinstance(error, ssl.SSLError):
            tls.on_failure(str(error), peer)
        raise
    return transport


class _Stream(StreamReaderProtocol):
    def eof_received(self) -> bool:
        """Close the connection. To keep it open, as by default, is not possible with TLS."""
        super().eof_received()
        return False


def _address(accepted: socket.socket) -> str:
    """The client as ADDRESS:PORT or [ADDRESS]:PORT. Raises `OSError` if it has gone."""
    host, port = accepted.getpeername()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
