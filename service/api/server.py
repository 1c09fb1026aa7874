"""The gRPC server: its options, services and interceptors, its start and its shutdown."""

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from grpc import aio
from opentelemetry.instrumentation.grpc import aio_server_interceptor

from observability.interceptor import CallObserver, Guard
from observability.logs import get_logger
from observability.metrics import Metrics
from service.api.health import Health
from service.api.reflection import reflection_services
from service.api.services import GrpcService
from service.api.tls import server_credentials
from service.errors import StartError
from service.support.tasks import Background
from service.support.tls_files import Certificates

log = get_logger(__name__)

# Streams on one connection beside the launches: dedups, kills, lists and health checks. A client
# that needs more waits on its own side, and so do its health checks.
_STREAMS_BESIDE_LAUNCHES = 1000

_OPTIONS = [
    # Otherwise a second server could bind the same port, and would silently take half of the calls.
    ("grpc.so_reuseport", 0),
    # Well above the limit for launches, so that larger ones get our own error, 413.
    ("grpc.max_receive_message_length", 16 * 2**20),
    # We need only the trace context. gRPC accepts metadata below the first limit, refuses it above
    # the second, and refuses it at random in between. (A client that has not acknowledged our
    # settings may send megabytes.)
    ("grpc.max_metadata_size", 16 * 2**10),
    ("grpc.absolute_max_metadata_size", 16 * 2**10),
    # A connection to a vanished client is closed after half a minute, even without calls, and one
    # without an HTTP/2 handshake after ten seconds. (In gRPC 1.85, keepalive_timeout_ms alone has
    # no effect: the timeout of an unanswered ping stays at its default of a minute.)
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.server_handshake_timeout_ms", 10_000),
    # A client may need frequent pings to keep a firewall open. By default gRPC closes the
    # connection, with the calls under way, at the third ping within ten minutes without data in
    # between. Here a thousand pings may follow each other within half a second: enough for those
    # that a network has held back for months, and too few for a flood.
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 1000),
]
# How often the server looks for a crash of gRPC's loop, and waits before it restarts (seconds).
_CRASH_PAUSE = 0.5
# For answers and ends of streams that are on their way when the server stops (seconds).
_LAST_WORDS = 1.0
# After a crash: for the calls under way, and for another program to release the port (seconds).
_RETIREMENT = 10.0
_PORT_TIMEOUT = 30.0
# The address is another host's; it lacks its link; this host does not have its protocol.
_NO_ADDRESS_OF_THIS_HOST = (errno.EADDRNOTAVAIL, errno.EINVAL, errno.EAFNOSUPPORT)


class GrpcServer:
    """Serves until stopped. The constructor binds the port.

    The server adds health and reflection to the services. A call passes `CallObserver`, then
    the guard, then the other interceptors in their order, then the method.
    """

    def __init__(
        self,
        address: str,
        port: int,
        services: Sequence[GrpcService],
        metrics: Metrics,
        *,
        launches: int,
        guard: Guard | None = None,
        interceptors: Sequence[aio.ServerInterceptor] = (),
        certificates: Callable[[], Certificates] | None = None,
    ) -> None:
        """`launches` is the limit of launches at a time.

        With `certificates`, which gives the latest, the port speaks TLS.
        """
        self._certificates = certificates
        self.health = Health(*(each.name for each in services if each.follows_readiness))
        self._services = _with_reflection([*services, self.health.as_service()])
        methods = [method for each in self._services for method in each.methods]
        tracing = aio_server_interceptor()  # type: ignore[no-untyped-call]
        self._observer = CallObserver(metrics, methods, tracing, guard)
        self._interceptors = [self._observer, *interceptors]
        streams = ("grpc.max_concurrent_streams", launches + _STREAMS_BESIDE_LAUNCHES)
        self._options = [*_OPTIONS, streams]
        self._address, self._port = address, port
        self._stopping = False
        self._retiring: set[aio.Server] = set()
        self._background = Background()
        self._server = self._bound()

    async def start(self) -> None:
        await self._server.start()

    async def run(self) -> None:
        """Run until stopped. If gRPC's own loop crashes, start a new server.

        In grpcio 1.85, a single call whose path is not UTF-8 crashes it. Raises `RuntimeError` if
        another program takes the port meanwhile, and keeps it.
        """
        while not self._stopping and await self._has_crashed():
            log.error("grpc.crashed")
            self._retiring.add(self._server)
            self._background.spawn(self._retire(self._server), "retire a gRPC server")
            await self._restart()

    async def stop(self, grace: float) -> None:
        """Accept no more calls, end the streams, and wait for calls under way.

        Those that take longer than `grace` seconds are cancelled, and so are, once all others are
        done, streams whose clients do not read: their end cannot be sent.
        """
        self._stopping = True
        for service in self._services:
            service.close()
        servers = (self._server, *self._retiring)
        stopping = asyncio.gather(*(_stop(each, grace) for each in servers))
        while not stopping.done():
            await asyncio.wait((stopping,), timeout=_LAST_WORDS)
            if not self._observer.answering:
                await asyncio.wait((stopping,), timeout=_LAST_WORDS)
                await asyncio.gather(*(_stop(each, None) for each in servers))
        await stopping

    async def _has_crashed(self) -> bool:
        """Wait until the server has stopped or crashed. gRPC reports a crash only at a timeout."""
        try:
            while await self._server.wait_for_termination(_CRASH_PAUSE):
                pass
        except Exception:  # noqa: BLE001 - of any type; gRPC has logged it
            return True
        return False

    async def _retire(self, server: aio.Server) -> None:
        """Let the calls under way finish on their old connections."""
        await _stop(server, _RETIREMENT)
        self._retiring.discard(server)

    async def _restart(self) -> None:
        deadline = time.monotonic() + _PORT_TIMEOUT
        while True:
            await asyncio.sleep(_CRASH_PAUSE)
            if self._stopping:
                return
            try:
                self._server = self._bound()
            except StartError as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(str(error)) from None
            else:
                await self.start()
                log.warning("grpc.restarted")
                return

    def _bound(self) -> aio.Server:
        address = self._address
        server = aio.server(interceptors=self._interceptors, options=self._options)
        for service in self._services:
            service.add_to(server)
        host = f"[{address}]" if ":" in address else address
        with binding("GRPC_SERVER_PORT", address, self._port):
            _try_to_bind(address, self._port)
            if self._certificates:
                credentials = server_credentials(self._certificates)
                server.add_secure_port(f"{host}:{self._port}", credentials)
            else:
                server.add_insecure_port(f"{host}:{self._port}")
        return server


def _with_reflection(services: Sequence[GrpcService]) -> Sequence[GrpcService]:
    return [*services, *reflection_services(each.name for each in services)]


async def _stop(server: aio.Server, grace: float | None) -> None:
    """Stop a server, even if its loop crashes during the stop."""
    try:
        await server.stop(grace)
    except Exception:  # noqa: BLE001 - of any type; gRPC has logged it
        await server.stop(grace)  # the first stop still goes on: wait for it


@contextmanager
def binding(variable: str, address: str, port: int) -> Iterator[None]:
    """Raise `StartError` if a port cannot be bound. Name the setting at fault: port or address."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = getattr(error, "errno", None)
        setting, allowed = f"{variable}={port}", "a port that no other program listens on"
        if number in _NO_ADDRESS_OF_THIS_HOST:
            setting, allowed = f"BIND_ADDRESS={address}", "an address of this host"
        elif number == errno.EACCES:
            allowed = "a port that this user may bind"
        raise StartError(f"{setting}: cannot be bound ({error}); allowed is {allowed}") from None


def _try_to_bind(address: str, port: int) -> None:
    """Raise `OSError` if the address cannot be bound. gRPC would also print lines of its own."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, port))
