"""The HTTP endpoint for metrics and probes: its port, its threads, its start and its shutdown.

It runs its own event loop in a thread, and renders scrapes in another. So it does not hold up the
service, and it can report that the service's event loop hangs.
"""

import asyncio
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import uvloop
from prometheus_client import CollectorRegistry

from observability.http_handshakes import Tls, accept_each
from observability.http_pages import Guard, Pages, Probe


class HttpEndpoint:
    """Serves metrics and probes until closed. The constructor binds the port (OSError)."""

    def __init__(
        self,
        address: str,
        port: int,
        registry: CollectorRegistry,
        probes: Mapping[str, Probe],
        *,
        tls: Tls | None = None,
        guard: Guard | None = None,
    ) -> None:
        """`guard` is for the metrics."""
        self._socket = bound_socket(address, port)
        self._renderer = ThreadPoolExecutor(1, thread_name_prefix="scrapes")
        self._tls = tls
        self._pages = Pages(registry, probes, self._renderer, guard)
        # If the process may open no more files, asyncio's own loop logs a thousand errors a second
        # (Python 3.11). uvloop rejects new connections instead.
        self._loop = uvloop.new_event_loop()
        self._closed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        self._renderer.submit(int)  # starts its thread now: later, the limit may be reached
        self._thread.start()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()
        self._renderer.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        from observability.http_connections import Connections  # later: h11 takes 15 ms to import

        connections = Connections(self._pages.answer)
        if tls := self._tls:
            accepting = asyncio.create_task(
                accept_each(self._socket, lambda each: connections.accept(each, tls))
            )
            await self._closed.wait()
            accepting.cancel()
            self._socket.close()
            return
        server = await asyncio.start_server(connections.serve, sock=self._socket)
        await self._closed.wait()
        server.close()


def bound_socket(address: str, port: int) -> socket.socket:
    """A listening socket. "::" includes IPv4."""
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address == "::":
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((address, port))
        bound.listen()
    except OSError:
        bound.close()
        raise
    return bound


def all_interfaces() -> str:
    """The address that stands for all interfaces; "::" needs a host with IPv6."""
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 - as the setting says
