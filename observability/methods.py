"""The methods of a gRPC server: metrics of each call, and the truth about failures on its span.

Around each stands OpenTelemetry's interceptor, which makes the span but knows neither that an
answer with gRPC status OK may carry an error, nor of exceptions and deadlines. If both were
interceptors of the server, gRPC would have them wrap the handler anew at each call; and each method
that is registered with it is one more that it waits for before each call. So a method is wrapped
once here, and none is registered.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import grpc
from grpc.aio import ServerInterceptor
from opentelemetry import trace

from observability.logs import get_logger
from observability.metrics import Metrics, trace_exemplar
from observability.spans import fail_span

log = get_logger(__name__)

# What may be left of a call, by our clock, when the deadline of its client hangs up (seconds).
_HANGING_UP = 0.1


class InBandError(NamedTuple):
    """A failure that travels inside an answer."""

    type: str
    message: str


class ObservedMethods(grpc.GenericRpcHandler):
    """Counts, times and traces every call; methods that are not here count as `other`.

    Services are added to it as to a server.
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
        self._handlers: dict[str, Any] = {}

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add the methods of a service, before `observe`. Generated code calls this."""
        for name, handler in handlers.items():
            self._handlers[f"/{service}/{name}"] = handler

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Nothing: generated code adds every method in both ways."""

    async def observe(self) -> None:
        """Wrap every method; once, before the server starts."""
        for path, handler in self._handlers.items():
            observed = self._observe(_Method(self._metrics, path.removeprefix("/")), handler)
            self._handlers[path] = await self._trace(path, observed)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a call; None for a method that is not here."""
        handler = self._handlers.get(handler_call_details.method)
        if handler is None:
            other = _Method(self._metrics, "other")
            _Call(other, None).finish(grpc.StatusCode.UNIMPLEMENTED)
        return handler

    async def _trace(self, path: str, handler: Any) -> Any:
        """OpenTelemetry's around ours, so that ours finds its span. It looks at the path only."""

        async def observed(_: grpc.HandlerCallDetails) -> Any:
            return handler

        details: Any = SimpleNamespace(method=path, invocation_metadata=())
        return await self._tracing.intercept_service(observed, details)

    def _observe(self, method: "_Method", handler: Any) -> Any:
        if handler.response_streaming:
            return self._observe_stream(method, handler)
        return self._observe_unary(method, handler)

    def _observe_unary(self, method: "_Method", handler: Any) -> Any:
        async def observed(request: Any, context: Any) -> Any:
            """With the request read in here: one that cannot be read is a call that failed, too."""
            call = _Call(method, context)
            try:
                try:
                    message = deserialize(request)
                except Exception:  # noqa: BLE001 - protobuf does not say which
                    await context.abort(
                        grpc.StatusCode.INVALID_ARGUMENT, "the request cannot be read"
                    )
                response = await handler.unary_unary(message, context)
            except BaseException as error:
                call.ended_by(error)
                raise
            call.ended(self._in_band_error(response))
            return response

        deserialize = handler.request_deserializer or _as_it_is
        return grpc.unary_unary_rpc_method_handler(
            observed,
            response_serializer=handler.response_serializer,
        )

    def _observe_stream(self, method: "_Method", handler: Any) -> Any:
        behavior = handler.stream_stream if handler.request_streaming else handler.unary_stream
        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )

        async def observed(request: Any, context: Any) -> AsyncIterator[Any]:
            call = _Call(method, context)
            try:
                async for response in behavior(request, context):
                    yield response
            except BaseException as error:
                call.ended_by(error)
                raise
            call.ended(None)

        return make(
            observed,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


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

    def ended(self, error: InBandError | None) -> None:
        """The handler has answered."""
        code = self._context.code() or grpc.StatusCode.OK
        if error:
            fail_span(trace.get_current_span(), error.type, error.message)
        self.finish(code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.OK)

    def ended_by(self, error: BaseException) -> None:
        """The handler has raised: it aborted, was cancelled, or is at fault."""
        status = self._status_of(error)
        fail_span(trace.get_current_span(), status.name)
        self.finish(status)

    def finish(self, status: grpc.StatusCode) -> None:
        """It has got its status."""
        took = time.perf_counter() - self._began
        duration = self._method.duration.labels(self._method.name, status.name)
        duration.observe(took, trace_exemplar())

    def _status_of(self, error: BaseException) -> grpc.StatusCode:
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            late = self._is_late()
            return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
        code = self._context.code()
        return (
            code if isinstance(code, grpc.StatusCode) and code.value[0] else grpc.StatusCode.UNKNOWN
        )

    def _is_late(self) -> bool:
        """Whether its client's deadline is what has cancelled it.

        The client hangs up at that moment, and mostly that comes before our own timer: the request
        was under way for a while, and gRPC rounds what it tells of the deadline up by 1 % at most.
        """
        left = self._context.time_remaining()
        took = time.perf_counter() - self._began
        return left is not None and left <= max(_HANGING_UP, took / 100)
