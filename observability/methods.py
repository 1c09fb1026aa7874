"""The methods of a gRPC server: metrics of each call, and the truth about failures on its span.

Around each stands OpenTelemetry's interceptor, which makes the span but knows neither that an
answer with gRPC status OK may carry an error, nor of exceptions and deadlines. As interceptors of
the server they would be asked for the handler anew at each call; here a method is wrapped once.
"""

import asyncio
import time
import traceback
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, NamedTuple

import grpc
from grpc.aio import AbortError, Server, ServerInterceptor
from opentelemetry import trace

from observability.callers import CallContext, caller
from observability.logs import get_logger
from observability.metrics import Metrics, trace_exemplar
from observability.spans import fail_span

log = get_logger(__name__)

_Deserialize = Callable[[bytes], Any]

# What a handler has its function in, and what makes one of the kind, by whether its requests and
# its responses are streams.
_KINDS: Mapping[tuple[bool, bool], tuple[str, Callable[..., Any]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}

# What may be left of a call, by our clock, when the deadline of its client hangs up (seconds).
_HANGING_UP = 0.1


class InBandError(NamedTuple):
    """A failure that travels inside an answer."""

    type: str
    message: str


class ObservedMethods(grpc.GenericRpcHandler):
    """Counts, times and traces every call; methods that are not here count as `other`.

    Services are added to it as to a server, and it then serves from one.
    """

    def __init__(
        self,
        metrics: Metrics,
        in_band_error: Callable[[object], InBandError | None],
        tracing: ServerInterceptor,
    ) -> None:
        self._metrics = metrics
        self._in_band_error = in_band_error
        self._tracing = tracing
        self._services: dict[str, Mapping[str, Any]] = {}

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add the methods of a service. Generated code calls this."""
        self._services[service] = handlers

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Nothing: the code that this version of grpcio generates adds all methods in both ways."""

    async def serve_from(self, server: Server) -> None:
        """Give every method to a server that has not started yet.

        Registered, so that each has a queue of its own, and health overtakes a crowd of launches.
        """
        server.add_generic_rpc_handlers((self,))
        for service, handlers in self._services.items():
            wrapped = {
                name: await self._wrap(f"{service}/{name}", h) for name, h in handlers.items()
            }
            server.add_registered_method_handlers(service, wrapped)

    def service(self, _: grpc.HandlerCallDetails) -> None:
        """What a server asks for a method that is not registered: there is none."""
        other = _Method(self._metrics, "other")
        _Call(other, None).finish(grpc.StatusCode.UNIMPLEMENTED)

    async def _wrap(self, name: str, handler: Any) -> Any:
        return await self._trace(f"/{name}", self._observe(_Method(self._metrics, name), handler))

    async def _trace(self, path: str, handler: Any) -> Any:
        """OpenTelemetry's around ours, so that ours finds its span. It looks at the path only.

        Around both, what knows the caller, for our own methods: none of them streams.
        """

        async def observed(_: grpc.HandlerCallDetails) -> Any:
            return handler

        details: Any = SimpleNamespace(method=path)
        traced: Any = await self._tracing.intercept_service(observed, details)
        if traced is handler or traced.response_streaming:
            return traced
        return _knowing_the_caller(traced)

    def _observe(self, method: "_Method", handler: Any) -> Any:
        """The same kind of handler, which takes requests that are still bytes."""
        streams = handler.request_streaming, handler.response_streaming
        attribute, make = _KINDS[streams]
        observe = self._observe_stream if handler.response_streaming else self._observe_unary
        observed = observe(
            method,
            getattr(handler, attribute),
            _Call.read_all if handler.request_streaming else _Call.read,
            handler.request_deserializer or _as_it_is,
        )
        return make(observed, response_serializer=handler.response_serializer)

    def _observe_unary(
        self, method: "_Method", behavior: Any, read: Any, deserialize: _Deserialize
    ) -> Any:
        async def observed(request: Any, context: Any) -> Any:
            """With the request read in here: one that cannot be read is a call that failed, too."""
            call = _Call(method, context)
            try:
                response = await behavior(await read(call, deserialize, request), context)
                in_band = self._in_band_error(response)
            except BaseException as error:
                if call.ended_by(error):
                    raise
            else:
                call.ended(in_band)
                return response
            return await call.tell_fault()

        return observed

    def _observe_stream(
        self, method: "_Method", behavior: Any, read: Any, deserialize: _Deserialize
    ) -> Any:
        async def observed(request: Any, context: Any) -> AsyncIterator[Any]:
            call = _Call(method, context)
            try:
                async for response in behavior(await read(call, deserialize, request), context):
                    yield response
            except BaseException as error:
                if call.ended_by(error):
                    raise
            else:
                call.ended(None)
                return
            await call.tell_fault()

        return observed


def _knowing_the_caller(handler: Any) -> Any:
    attribute, make = _KINDS[handler.request_streaming, False]
    behavior = getattr(handler, attribute)

    async def knowing(request: Any, context: Any) -> Any:
        return await behavior(request, CallContext(context))

    return make(knowing, response_serializer=handler.response_serializer)


class _Method:
    """The metrics of one method."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self.name = name
        self.started = metrics.grpc_started.labels(name)
        self.duration = metrics.grpc_duration


def _as_it_is(raw: bytes) -> bytes:
    return raw


class _Call:
    """One call, from its start to its status."""

    def __init__(self, method: _Method, context: Any) -> None:
        self._method, self._context = method, context
        self._began = time.perf_counter()
        method.started.inc()

    async def read(self, deserialize: _Deserialize, raw: bytes) -> Any:
        """The request; a call whose request cannot be read ends here."""
        with suppress(Exception):  # protobuf does not say which
            return deserialize(raw)
        status = grpc.StatusCode.INVALID_ARGUMENT
        return await self._context.abort(status, "the request cannot be read")

    async def read_all(
        self, deserialize: _Deserialize, requests: AsyncIterable[bytes]
    ) -> AsyncIterator[Any]:
        """The requests of a stream, as they come."""

        async def read() -> AsyncIterator[Any]:
            async for raw in requests:
                yield await self.read(deserialize, raw)

        return read()

    def ended(self, error: InBandError | None) -> None:
        """The handler has answered."""
        code = self._context.code() or grpc.StatusCode.OK
        if error:
            fail_span(trace.get_current_span(), error.type, error.message)
        self.finish(code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.OK)

    def ended_by(self, error: BaseException) -> bool:
        """The handler has raised: it aborted, was cancelled, or is at fault.

        Whether gRPC and OpenTelemetry may see the error. What an unexpected one says may be a
        secret, and both would pass it on: to the log, to the client, to the span.
        """
        status = self._status_of(error)
        fail_span(trace.get_current_span(), status.name)
        self.finish(status)
        if isinstance(error, AbortError):
            error.__context__ = error.__cause__ = None  # it may have been answered to another
        if isinstance(error, AbortError) or not isinstance(error, Exception):
            return True
        where = "".join(traceback.format_tb(error.__traceback__))
        told = f"{where}{type(error).__name__}"
        log.critical(
            "request.crashed",
            operation=self._method.name,
            traceback=told,
            **caller().fields,
        )
        return False

    async def tell_fault(self) -> Any:
        """End a call whose handler is at fault.

        Not while that error is handled: it would be seen behind the one that this raises.
        """
        await self._context.abort(grpc.StatusCode.UNKNOWN, "an error of the server's own")

    def finish(self, status: grpc.StatusCode) -> None:
        """It has got its status."""
        took = time.perf_counter() - self._began
        duration = self._method.duration.labels(self._method.name, status.name)
        duration.observe(took, trace_exemplar())

    def _status_of(self, error: BaseException) -> grpc.StatusCode:
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            late = self._is_late()
            return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
        code = self._context.code() if isinstance(error, AbortError) else None
        return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN

    def _is_late(self) -> bool:
        """Whether its client's deadline is what has cancelled it.

        The client hangs up at that moment, and mostly that comes before our own timer: the request
        was under way for a while, and gRPC rounds what it tells of the deadline up by 1 % at most.
        """
        left = self._context.time_remaining()
        took = time.perf_counter() - self._began
        return left is not None and left <= max(_HANGING_UP, took / 100)
