"""The HTTP endpoint: `/metrics`, `/livez`, `/readyz`.

It runs in threads of its own, so that rendering a scrape never holds up the event loop.
"""

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

Probe = Callable[[], tuple[bool, str]]
"""A probe's answer: whether it is well, and why in words."""


# Scrapers and probes are few. More clients than this are hung up on: those that connect and say
# nothing would take a thread each.
_AT_ONCE = 64


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, address: str, port: int) -> None:
        self._places = threading.Semaphore(_AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6 and self.server_address[0] == "::":
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's own: it asks the name service who we are, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds for a client that sends nothing

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Probes and scrapes are no events."""


class HttpEndpoint:
    """Serves metrics and probes until closed. The port is bound when it is made (OSError)."""

    def __init__(
        self,
        address: str,
        port: int,
        registry: CollectorRegistry,
        probes: Mapping[str, Probe],
    ) -> None:
        self._metrics = make_wsgi_app(registry)
        self._probes = probes
        self._server = _Server(address, port)
        self._server.set_app(self._answer)
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port."""
        self._closed = True
        self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join()
        self._server.server_close()

    def _serve(self) -> None:
        """Not `serve_forever`, which looks many times a second whether it is to end."""
        while not self._closed:
            self._server.handle_request()

    def _answer(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            rendered: Iterable[bytes] = self._metrics(environ, start)
            return rendered
        if probe := self._probes.get(path):
            well, reason = probe()
            return _text(start, "200 OK" if well else "503 Service Unavailable", reason)
        known = ", ".join(["/metrics", *self._probes])
        return _text(start, "404 Not Found", f"{path} is not here; there are {known}")


def _text(start: "StartResponse", status: str, text: str) -> Iterable[bytes]:
    body = f"{text}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start(status, headers)
    return [body]


def every_interface() -> str:
    """The address that means all of them; a host without IPv6 has a shorter one."""
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 - as the setting says
