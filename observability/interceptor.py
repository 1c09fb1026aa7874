"""The gRPC server's interceptor: metrics of each call, and the truth about failures on its span.

It stands inside OpenTelemetry's own interceptor, which makes the span but knows neither that an
answer with gRPC status OK may carry an error, nor of exceptions and deadlines.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import grpc
from grpc.aio import ServerInterceptor
from opentelemetry import trace

from observability.logs import get_logger
from observability.metrics import Metrics, trace_exemplar
from observability.spans import fail_span

log = get_logger(__name__)


class InBandError(NamedTuple):
    """A failure that travels inside an answer."""

    type: str
    message: str


class CallObserver(ServerInterceptor):
    """Counts and times every call; methods that are not registered count as `other`."""

    def __init__(
        self, metrics: Metrics, in_band_error: Callable[[object], InBandError | None]
    ) -> None:
        self._metrics = metrics
        self._in_band_error = in_band_error

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of one call."""
        handler = await continuation(handler_call_details)
        if handler is None:
            self._count("other", grpc.StatusCode.UNIMPLEMENTED, time.perf_counter())
            return None
        method = handler_call_details.method.removeprefix("/")
        if handler.response_streaming:
            return self._observe_stream(method, handler)
        return self._observe_unary(method, handler)

    def _observe_unary(self, method: str, handler: Any) -> Any:
        async def observed(request: Any, context: Any) -> Any:
            call = _Call(self, method, context)
            try:
                response = await handler.unary_unary(await read(request, context), context)
            except BaseException as error:
                call.ended_by(error)
                raise
            call.ended(self._in_band_error(response))
            return response

        read = _reader(handler.request_deserializer)
        return grpc.unary_unary_rpc_method_handler(
            observed,
            response_serializer=handler.response_serializer,
        )

    def _observe_stream(self, method: str, handler: Any) -> Any:
        behavior = handler.stream_stream if handler.request_streaming else handler.unary_stream
        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )

        async def observed(request: Any, context: Any) -> AsyncIterator[Any]:
            call = _Call(self, method, context)
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

    def started(self, method: str) -> None:
        """A call has begun."""
        self._metrics.grpc_started.labels(method).inc()

    def _count(self, method: str, status: grpc.StatusCode, began: float) -> None:
        self._metrics.grpc_started.labels(method).inc()
        self.finished(method, status, began)

    def finished(self, method: str, status: grpc.StatusCode, began: float) -> None:
        """A call has got its status."""
        duration = self._metrics.grpc_duration.labels(method, status.name)
        duration.observe(time.perf_counter() - began, trace_exemplar())


def _reader(
    deserialize: Callable[[bytes], Any] | None,
) -> Callable[[bytes, Any], Awaitable[Any]]:
    """Reads a request inside the handler: one that cannot be read is a call that failed, too."""

    async def read(raw: bytes, context: Any) -> Any:
        try:
            return deserialize(raw) if deserialize else raw
        except Exception:  # noqa: BLE001 - protobuf does not say which
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the request cannot be read")

    return read


class _Call:
    """One call, from its start to its status."""

    def __init__(self, observer: CallObserver, method: str, context: Any) -> None:
        self._observer, self._method, self._context = observer, method, context
        self._began = time.perf_counter()
        observer.started(method)

    def ended(self, error: InBandError | None) -> None:
        """The handler has answered."""
        code = self._context.code() or grpc.StatusCode.OK
        status = code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.OK
        if error:
            fail_span(trace.get_current_span(), error.type, error.message)
        self._observer.finished(self._method, status, self._began)

    def ended_by(self, error: BaseException) -> None:
        """The handler has raised: it aborted, was cancelled, or is at fault."""
        status = self._status_of(error)
        fail_span(trace.get_current_span(), status.name)
        self._observer.finished(self._method, status, self._began)

    def _status_of(self, error: BaseException) -> grpc.StatusCode:
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            left = self._context.time_remaining()
            late = left is not None and left <= 0
            return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
        code = self._context.code()
        return (
            code if isinstance(code, grpc.StatusCode) and code.value[0] else grpc.StatusCode.UNKNOWN
        )
