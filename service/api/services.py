"""Describes a service to the gRPC server, and ends the open streams of a service."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from observability.grpc_calls import InBandError, no_error
from observability.interceptor import ObservedMethod

T = TypeVar("T")

_END = object()


def _nothing() -> None:
    """Close a service that has no streams."""


@dataclass(frozen=True)
class GrpcService:
    """A service of the server. Its reflection, metrics, spans and health are based on this."""

    descriptor: Any  # a protobuf ServiceDescriptor; the implementations differ in their types
    add_to: Callable[[Any], None]  # adds its methods to a server, as generated code does
    traced: bool = True  # its calls have spans
    follows_readiness: bool = True  # it has a health status: SERVING while the supervisor is ready
    error_in: Callable[[object], InBandError | None] = no_error  # finds the error in an answer
    close: Callable[[], None] = _nothing  # ends its open streams: the server is closing

    @property
    def name(self) -> str:
        name: str = self.descriptor.full_name
        return name

    @property
    def methods(self) -> list[ObservedMethod]:
        """The methods, as the first interceptor observes them."""
        return [
            ObservedMethod(
                f"{self.name}/{method.name}", method.client_streaming, self.traced, self.error_in
            )
            for method in self.descriptor.methods
        ]


class OneQueue:
    """A server to which a service is added whose methods do not need a queue each.

    At each call of any method, gRPC waits anew for the next call of each registered method, which
    takes 3 µs each (grpcio 1.85, grpc/grpc#43461). The calls of all others wait in one queue.
    """

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, _: object) -> None:
        """Generated code adds the same methods as registered ones."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Add methods that were not added before."""
        generic = grpc.method_handlers_generic_handler(service, handlers)
        self._server.add_generic_rpc_handlers((generic,))


class Closing:
    """Tells the open streams of a service that the server is closing."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def close(self) -> None:
        self._closed.set()

    async def until_closed(self, items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """The items up to the close. After them, a stream may still send its last responses.

        A generator of items is closed with this, and not when Python looks for garbage.
        """
        closed = asyncio.create_task(self._closed.wait())
        upcoming: asyncio.Future[Any] | None = None
        try:
            while not self._closed.is_set():
                upcoming = asyncio.ensure_future(anext(items, _END))
                await asyncio.wait((upcoming, closed), return_when=asyncio.FIRST_COMPLETED)
                if not upcoming.done() or (item := upcoming.result()) is _END:
                    return
                yield item
        finally:
            closed.cancel()
            if upcoming:
                upcoming.cancel()
                await asyncio.wait((upcoming,))
            if isinstance(items, AsyncGenerator):
                await items.aclose()
