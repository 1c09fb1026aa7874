"""The port of the console: its socket, TLS, start and shutdown."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from observability.http_endpoint import bound_socket
from observability.http_handshakes import Tls, accept_each, secure
from service.console.connections import Connection

# Open pages need a connection each, and a log another one.
_MOST_CONNECTIONS = 200
# How long a stop waits for requests, and again for their end: pages reconnect by themselves
# (seconds, in ticks).
_TICK, _TICKS = 0.05, 20
# How long a closed connection may send its last bytes: browsers may be slow (seconds).
_CLOSING = 30.0


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, tls: Tls | None) -> None:
        super().__init__(config)
        self._tls = tls
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: dict[asyncio.Task[None], None] = {}  # the oldest first

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Listen. With TLS by our own means: asyncio's would not report failed handshakes."""
        listening = list(sockets or ())
        if self._tls is None:
            await super().startup(listening)
            return
        await super().startup([])
        (bound,) = listening
        self._accepting = asyncio.create_task(accept_each(bound, self._shake_hands))

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """End all connections. uvicorn's own would log an error for one that does not end."""
        for task in filter(None, (self._accepting, *self._handshakes)):
            task.cancel()
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._until_idle()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await self._until_idle()

    async def _until_idle(self) -> None:
        state = self.server_state
        for _ in range(_TICKS):
            if not (state.connections or state.tasks):
                return
            await asyncio.sleep(_TICK)

    def _shake_hands(self, accepted: socket.socket) -> None:
        if len(self._handshakes) >= _MOST_CONNECTIONS:
            next(iter(self._handshakes)).cancel()
        task = asyncio.create_task(self._connect(accepted))
        self._handshakes[task] = None
        task.add_done_callback(self._handshakes.pop)

    async def _connect(self, accepted: socket.socket) -> None:
        assert self._tls is not None
        protocol = Connection(self.config, self.server_state, self.lifespan.state)
        with suppress(OSError):
            await secure(accepted, self._tls, protocol, _CLOSING)


class ConsoleServer:
    """Serves until stopped, in the event loop of the service. The constructor binds (OSError)."""

    def __init__(
        self,
        app: ASGIApp,
        address: str,
        port: int,
        *,
        close: Callable[[], None],
        tls: Tls | None = None,
    ) -> None:
        """`close` ends the streams of the app."""
        self._close = close
        config = uvicorn.Config(
            app,
            access_log=False,
            http=Connection,
            lifespan="off",
            ws="none",
            limit_concurrency=_MOST_CONNECTIONS,
            log_config=None,
            proxy_headers=False,
            server_header=False,
        )
        config.load()
        # Our events report starts and stops. An invalid request gets an answer, but no log line.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._socket: socket.socket = bound_socket(address, port)
        self._server = _Server(config, tls)
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
