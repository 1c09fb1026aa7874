"""The port of the console: its socket, TLS, start and shutdown."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from observability.http_endpoint import bound_socket

# Open pages need a connection each, and a log another one.
_MOST_CONNECTIONS = 200
# How long a stop waits for requests under way (seconds): pages reconnect by themselves.
_GRACE = 1


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield


class ConsoleServer:
    """Serves until stopped, in the event loop of the service. The constructor binds (OSError)."""

    def __init__(
        self,
        app: ASGIApp,
        address: str,
        port: int,
        *,
        close: Callable[[], None],
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """`close` ends the streams of the app.

        With `tls`, which gives the latest certificate, the port speaks TLS.
        """
        self._close = close
        config = uvicorn.Config(
            app,
            access_log=False,
            http="httptools",
            lifespan="off",
            ws="none",
            limit_concurrency=_MOST_CONNECTIONS,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
        config.load()
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # starts and stops are ours
        if tls is not None:
            config.ssl = _following(tls)
        self._socket: socket.socket = bound_socket(address, port)
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        serve = self._server.serve(sockets=[self._socket])
        self._serving = asyncio.create_task(serve, name="console")

    async def stop(self) -> None:
        """Accept no more connections, and end those that there are."""
        self._close()
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        self._socket.close()


def _following(latest: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """A context that has the latest certificate for each new connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    def take_latest(connection: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        connection.context = latest()

    context.sni_callback = take_latest
    return context
