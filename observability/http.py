"""The HTTP endpoint for metrics and probes.

It has an event loop in a thread of its own, and one more thread in which scrapes are rendered: so
neither holds up the service, and of a service whose loop is stuck it can say so.
"""

import asyncio
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import uvloop
from prometheus_client import CollectorRegistry

from observability.pages import Pages, Probe


class HttpEndpoint:
    """Serves metrics and probes until closed. The port is bound when it is made (OSError)."""

    def __init__(
        self,
        address: str,
        port: int,
        registry: CollectorRegistry,
        probes: Mapping[str, Probe],
    ) -> None:
        self._socket = _bound(address, port)
        self._renderer = ThreadPoolExecutor(1, thread_name_prefix="scrapes")
        self._pages = Pages(registry, probes, self._renderer)
        # Where the process may open no more files, asyncio's own loop logs a thousand errors a
        # second (Python 3.11); this one hangs up on whoever comes.
        self._loop = uvloop.new_event_loop()
        self._closed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Answer requests from now on."""
        self._renderer.submit(int)  # makes its thread now, and not when there may be none left
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port."""
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()
        self._renderer.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        from observability.http1 import Clients  # h11 takes 15 ms, without which the start can do

        clients = Clients(self._pages.answer)
        server = await asyncio.start_server(clients.serve, sock=self._socket)
        await self._closed.wait()
        server.close()


def _bound(address: str, port: int) -> socket.socket:
    """A socket that listens; on "::" for IPv4 as well."""
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


def every_interface() -> str:
    """The address that means all of them; a host without IPv6 has a shorter one."""
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 - as the setting says
