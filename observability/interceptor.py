"""The first interceptor of the gRPC server. It traces, counts and times every call.

A call passes, from the outside to the inside:

1. OpenTelemetry's interceptor, which makes the span;
2. `Call`, which counts the call and notes its facts; the request is parsed here;
3. the guard, which may refuse it;
4. the wrappers of the server's other interceptors, the first one outermost;
5. the method.

The handler from another interceptor is wrapped like a method, so calls that it refuses are
observed, too. gRPC asks the interceptors at each call. The last handler of a method is kept with
its wrapper: without other interceptors, each method is wrapped once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, Protocol

import grpc
from grpc.aio import InternalError, ServerInterceptor

from observability.callers import CallContext, pass_on_metadata
from observability.grpc_calls import Call, InBandError, Method, UnreadableRequest, no_error
from observability.grpc_handlers import Behavior, Handler, as_coroutine, function_of, make_handler
from observability.metrics import Metrics

_Deserialize = Callable[[bytes], Any]
_Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]


class Guard(Protocol):
    """Says who may call a method, which is SERVICE/METHOD."""

    def identify(self, method: str, context: CallContext) -> str:
        """Decide about a call. Return the name of its client, or nothing."""

    def before(self, method: str, handler: Handler) -> Handler:
        """Guard a handler: the result refuses calls, or serves them. It is kept, and used again."""


class ObservedMethod(NamedTuple):
    """A method whose calls are counted under its name."""

    name: str  # SERVICE/METHOD
    takes_stream: bool = False  # its requests are a stream
    traced: bool = False  # its calls have spans
    error_in: Callable[[object], InBandError | None] = no_error  # finds the error in an answer


_OTHER = ObservedMethod("other")


class _Observed:
    """A method, and the last handler that was wrapped for it."""

    def __init__(self, metrics: Metrics, method: ObservedMethod) -> None:
        self.counted = Method(metrics, method.name, method.error_in)
        self.takes_stream, self.traced = method.takes_stream, method.traced
        self.kept: tuple[Handler, Handler] = (None, None)

    @property
    def answering(self) -> int:
        """The calls under way whose response is a single one."""
        handler, _ = self.kept
        return 0 if handler is None or handler.response_streaming else self.counted.under_way


class CallObserver(ServerInterceptor):
    """Observes the calls of these methods. Calls of other methods count as `other`."""

    def __init__(
        self,
        metrics: Metrics,
        methods: Iterable[ObservedMethod],
        tracing: ServerInterceptor,
        guard: Guard | None = None,
    ) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._guard = guard
        self._methods = {f"/{method.name}": _Observed(metrics, method) for method in methods}

    @property
    def answering(self) -> int:
        """The calls under way whose response is a single one."""
        return sum(observed.answering for observed in self._methods.values())

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Wrap the handler of a call, which is the server's or another interceptor's."""
        handler = await _find(continuation, handler_call_details)
        path: str = handler_call_details.method
        observed = self._methods.get(path) or _Observed(self._metrics, _OTHER)
        if handler is None:
            Call(observed.counted, None).end(grpc.StatusCode.UNIMPLEMENTED, None)
            return None
        pass_on_metadata(handler_call_details.invocation_metadata)
        inner, outer = observed.kept
        if handler is not inner:
            outer = await self._wrap(observed, handler, handler_call_details)
            observed.kept = handler, outer
        return outer

    async def _wrap(
        self, observed: _Observed, handler: Handler, details: grpc.HandlerCallDetails
    ) -> Handler:
        identify = None
        if self._guard:
            method: str = details.method[1:]
            handler = self._guard.before(method, handler)
            identify = partial(self._guard.identify, method)
        serve, takes_stream = as_coroutine(handler), handler.request_streaming
        if observed.takes_stream and not takes_stream:
            serve, takes_stream = _without_request(serve), True
        read = reader(handler.request_deserializer)
        serve = _observe(observed.counted, serve, _unchanged if takes_stream else read)
        if observed.traced:
            serve = await self._trace(serve, details)

        async def serve_caller(request: Any, context: Any) -> Any:
            return await serve(request, CallContext(context, identify))

        return make_handler(
            serve_caller,
            takes_stream=takes_stream,
            gives_stream=handler.response_streaming,
            request_deserializer=read if takes_stream else None,
            response_serializer=handler.response_serializer,
        )

    async def _trace(self, serve: Behavior, details: grpc.HandlerCallDetails) -> Behavior:
        """Add OpenTelemetry's wrapper, which does not change requests."""
        handler = make_handler(serve)

        async def get_handler(_: grpc.HandlerCallDetails) -> Handler:
            return handler

        return function_of(await self._tracing.intercept_service(get_handler, details))


async def _find(continuation: _Continuation, details: grpc.HandlerCallDetails) -> Handler:
    """The handler of a call. If an interceptor fails, a handler that raises its error."""
    try:
        return await continuation(details)
    except Exception as error:  # noqa: BLE001 - it is raised again, in the handler
        failed = error

    async def fail(_requests: Any, _context: Any) -> None:
        raise failed

    return make_handler(fail, takes_stream=True)


def _observe(method: Method, serve: Behavior, read: _Deserialize) -> Behavior:
    async def observed(request: Any, context: Any) -> Any:
        call = Call(method, context)
        try:
            response = await serve(read(request), context)
            error = method.error_in(response)
        except BaseException as raised:
            refusal = call.raised(raised)
            if isinstance(raised, InternalError):  # the client has gone; gRPC would log this error
                raise asyncio.CancelledError from None
            if refusal is None:
                raise
        else:
            call.answered(error)
            return response
        # Not inside the `except`: the error would become the context of the one that this raises.
        return await context.abort(*refusal)

    return observed


def reader(deserialize: _Deserialize | None) -> _Deserialize:
    """A parser of requests. It runs within the handler, or while the handler reads the stream.

    If gRPC parsed a malformed request, it would report an unexpected error of ours, and the call
    would not be counted.
    """
    return partial(_parse, deserialize) if deserialize else _unchanged


def _parse(deserialize: _Deserialize, raw: bytes) -> Any:
    try:
        return deserialize(raw)
    except Exception:  # noqa: BLE001 - protobuf does not document its errors
        raise UnreadableRequest from None


def _unchanged(request: Any) -> Any:
    return request


def _without_request(serve: Behavior) -> Behavior:
    """Serve a stream of requests with a handler of one request: refusals often have such a one.

    gRPC would wait for the request, and never answer a client that sends none.
    """

    async def refuse(_requests: Any, context: Any) -> Any:
        return await serve(None, context)

    return refuse
