"""The facts of a gRPC call, in one place: method, caller, status, error and duration."""

import asyncio
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from grpc import StatusCode
from grpc.aio import AbortError, BaseError, UsageError
from opentelemetry import trace

from observability.callers import Caller, caller
from observability.logs import get_logger
from observability.metrics import Metrics, trace_exemplar
from observability.spans import fail_span

log = get_logger(__name__)

# A client that disconnects this shortly before its deadline does so because of it (seconds).
_DISCONNECTING = 0.1
# gRPC raises these in a handler whose client has gone. (UsageError is an error of the handler.)
_GONE = (asyncio.CancelledError, GeneratorExit, BaseError)


class InBandError(NamedTuple):
    """An error inside an answer."""

    type: str
    message: str


class EndedCall(NamedTuple):
    """The facts of a call that has its status."""

    method: str  # SERVICE/METHOD; `other` for a method that the server does not have
    caller: Caller
    status: StatusCode
    error: InBandError | None  # from the answer, or else from the status unless that is OK
    seconds: float  # since the handler was called


class Refusal(NamedTuple):
    """A status that ends a call, and its text for the client."""

    status: StatusCode
    details: str


class UnreadableRequest(Exception):
    """A request that cannot be parsed. Its content may be secret, so it is not in the error."""


_UNREADABLE = Refusal(StatusCode.INVALID_ARGUMENT, "the request cannot be read")
_CRASHED = Refusal(StatusCode.UNKNOWN, "an error of the server's own")


def no_error(_: object) -> None:
    """Find no error: for services whose answers contain none."""


class Method:
    """A method with its metrics. This creates the series of its calls, at 0."""

    def __init__(
        self,
        metrics: Metrics,
        name: str,
        error_in: Callable[[object], InBandError | None] = no_error,
    ) -> None:
        self.name = name
        self.error_in = error_in
        self.started = metrics.grpc_started.labels(name)
        self.duration = metrics.grpc_duration
        self.under_way = 0


class Call:
    """A call, from the start of its handler to its status."""

    __slots__ = ("_began", "_context", "_method")

    def __init__(self, method: Method, context: Any) -> None:
        self._method, self._context = method, context
        self._began = time.perf_counter()
        method.started.inc()
        method.under_way += 1

    def answered(self, error: InBandError | None) -> None:
        """The handler has returned. `error` is from its answer."""
        code = self._context.code() or StatusCode.OK
        self.end(code if isinstance(code, StatusCode) else StatusCode.OK, error)

    def raised(self, error: BaseException) -> Refusal | None:
        """The handler has raised. Return how to end the call; None if gRPC may see the error.

        gRPC logs an unexpected error with its text and sends it to the client, and OpenTelemetry
        puts it on the span. But the text may contain a secret.
        """
        refusal = self._refusal(error)
        status = refusal.status if refusal else self._status(error)
        self.end(status, InBandError(status.name, ""))
        if isinstance(error, AbortError):
            error.__context__ = error.__cause__ = None  # the error that the handler has caught
        return refusal

    def end(self, status: StatusCode, error: InBandError | None) -> None:
        """The call has its status."""
        self._method.under_way -= 1
        took = time.perf_counter() - self._began
        _report(EndedCall(self._method.name, caller(), status, error, took), self._method)

    def _refusal(self, error: BaseException) -> Refusal | None:
        if isinstance(error, UnreadableRequest):
            return _UNREADABLE
        if isinstance(error, _GONE) and not isinstance(error, UsageError):
            return None
        if not isinstance(error, Exception):
            return None
        _log_crash(self._method.name, error)
        return _CRASHED

    def _status(self, error: BaseException) -> StatusCode:
        """The status of a call that was aborted or cancelled."""
        if isinstance(error, AbortError):
            code = self._context.code()
            return code if isinstance(code, StatusCode) else StatusCode.UNKNOWN
        if isinstance(error, _GONE):
            return StatusCode.DEADLINE_EXCEEDED if self._is_late() else StatusCode.CANCELLED
        return StatusCode.UNKNOWN

    def _is_late(self) -> bool:
        """Whether the deadline has ended the call.

        The client usually disconnects before our own timer fires: the request took some time to
        arrive, and gRPC rounds the deadline up, by at most 1 %.
        """
        left = self._context.time_remaining()
        took = time.perf_counter() - self._began
        return left is not None and left <= max(_DISCONNECTING, took / 100)


def _report(call: EndedCall, method: Method) -> None:
    span = trace.get_current_span()
    if call.caller.client:
        span.set_attribute("supervisor.client", call.caller.client)
    if call.error:
        fail_span(span, call.error.type, call.error.message)
    duration = method.duration.labels(call.method, call.status.name)
    duration.observe(call.seconds, trace_exemplar(span))


def _log_crash(method: str, error: Exception) -> None:
    where = "".join(traceback.format_tb(error.__traceback__))
    log.critical(
        "request.crashed",
        operation=method,
        traceback=f"{where}{type(error).__name__}",
        **caller().fields,
    )
