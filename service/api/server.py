"""The gRPC server: its services, its interceptors, its start and its end."""

import asyncio
import errno
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from grpc import aio
from opentelemetry.instrumentation.grpc import aio_server_interceptor

from observability.interceptor import CallObserver
from observability.logs import get_logger
from observability.metrics import Metrics
from service.api.health import Health
from service.api.reflection import reflection_services
from service.api.services import GrpcService
from service.errors import StartError
from service.support.tasks import Background

log = get_logger(__name__)

# On one connection, beside the launches that may be inside: dedups, kills, lists and health. A
# client that has more streams open waits on its own side, with its health checks as well.
_STREAMS_BESIDE_LAUNCHES = 1000

_OPTIONS = [
    # Otherwise a second server would bind the same port, and take half of the calls, in silence.
    ("grpc.so_reuseport", 0),
    # Well above what a launch may hold, so that one which is too large is told so, with a 413.
    ("grpc.max_receive_message_length", 16 * 2**20),
    # What we read of it is a trace's context; below the one number calls are let in, above the
    # other they are refused, and between them gRPC throws dice. (Of a client that has not
    # acknowledged our settings it takes megabytes.)
    ("grpc.max_metadata_size", 16 * 2**10),
    ("grpc.absolute_max_metadata_size", 16 * 2**10),
    # A connection whose other end has vanished is closed after half a minute, calls or not, and
    # one that never says what it wants after ten seconds. (keepalive_timeout_ms alone changes
    # nothing in gRPC 1.85: an unanswered ping has a minute by default, whatever that says.)
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.server_handshake_timeout_ms", 10_000),
    # Clients ping as often as a firewall on their way wants it. gRPC would hang up at the third
    # ping within ten minutes that no answer came between, on the calls that are under way as well.
    # Here a thousand may come within half a second each: enough for pings that the network has
    # held back for months, and not for a flood.
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 1000),
]
# How soon a crash of gRPC's loop is noticed, and how long nothing listens then (seconds).
_CRASH_PAUSE = 0.5
# For what was under way then, and for another program to let go of the port (seconds).
_RETIREMENT = 10.0
_PORT_PATIENCE = 30.0
# Of another host; of a link that is not named; of a protocol that this host does not speak.
_NO_ADDRESS_OF_THIS_HOST = (errno.EADDRNOTAVAIL, errno.EINVAL, errno.EAFNOSUPPORT)


class GrpcServer:
    """Serves until stopped. The port is bound when it is made.

    Health and reflection are added to the services. A call passes `CallObserver`, then the other
    interceptors in their order, then the method.
    """

    def __init__(
        self,
        address: str,
        port: int,
        services: Sequence[GrpcService],
        metrics: Metrics,
        *,
        launches: int,
        interceptors: Sequence[aio.ServerInterceptor] = (),
    ) -> None:
        """`launches` is how many of them may be inside at once."""
        self.health = Health(*(each.name for each in services if each.follows_readiness))
        self._services = _with_reflection([*services, self.health.as_service()])
        methods = [method for each in self._services for method in each.methods]
        tracing = aio_server_interceptor()  # type: ignore[no-untyped-call]
        self._interceptors = [CallObserver(metrics, methods, tracing), *interceptors]
        streams = ("grpc.max_concurrent_streams", launches + _STREAMS_BESIDE_LAUNCHES)
        self._options = [*_OPTIONS, streams]
        self._address, self._port = address, port
        self._stopping = False
        self._retiring: set[aio.Server] = set()
        self._background = Background()
        self._server = self._bound()

    async def start(self) -> None:
        """Answer calls from now on."""
        await self._server.start()

    async def run(self) -> None:
        """Return when it has been stopped; begin anew where gRPC's own loop has crashed.

        In grpcio 1.85, one call does that whose path is not UTF-8: its loop decodes it unguarded.
        Raises `RuntimeError` if another program has taken the port meanwhile, and keeps it.
        """
        while not self._stopping and await self._has_crashed():
            log.error("grpc.crashed")
            self._retiring.add(self._server)
            self._background.spawn(self._retire(self._server), "retire a gRPC server")
            await self._begin_anew()

    async def stop(self, grace: float) -> None:
        """Take no more calls and end the streams.

        Return when the calls under way are done, after `grace` seconds at most.
        """
        self._stopping = True
        for service in self._services:
            service.close()
        await asyncio.gather(*(_stop(each, grace) for each in (self._server, *self._retiring)))

    async def _has_crashed(self) -> bool:
        """Wait for the end of a server, of whichever kind. A crash is told at a timeout only."""
        try:
            while await self._server.wait_for_termination(_CRASH_PAUSE):
                pass
        except Exception:  # noqa: BLE001 - gRPC has logged it, and it may be anything
            return True
        return False

    async def _retire(self, server: aio.Server) -> None:
        """Let what is under way end on its old connections."""
        await _stop(server, _RETIREMENT)
        self._retiring.discard(server)

    async def _begin_anew(self) -> None:
        deadline = time.monotonic() + _PORT_PATIENCE
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
            server.add_insecure_port(f"{host}:{self._port}")
        return server


def _with_reflection(services: Sequence[GrpcService]) -> Sequence[GrpcService]:
    return [*services, *reflection_services(each.name for each in services)]


async def _stop(server: aio.Server, grace: float) -> None:
    """Stop one whose loop may crash at that very moment."""
    try:
        await server.stop(grace)
    except Exception:  # noqa: BLE001 - gRPC has logged it, and it may be anything
        await server.stop(grace)  # waits for the stop that goes on all the same


@contextmanager
def binding(variable: str, address: str, port: int) -> Iterator[None]:
    """Raise `StartError` where a port cannot be bound, and blame the address if it is that."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = getattr(error, "errno", None)
        told, allowed = f"{variable}={port}", "a port that no other program listens on"
        if number in _NO_ADDRESS_OF_THIS_HOST:
            told, allowed = f"BIND_ADDRESS={address}", "an address of this host"
        elif number == errno.EACCES:
            allowed = "a port that this user may bind"
        raise StartError(f"{told}: cannot be bound ({error}); allowed is {allowed}") from None


def _try_to_bind(address: str, port: int) -> None:
    """Find out what is wrong before gRPC does, which would print lines of its own about it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, port))
