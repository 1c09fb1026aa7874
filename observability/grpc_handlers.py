"""Converts all kinds of gRPC handlers into one kind of function.

grpc.aio accepts coroutines, asynchronous generators and plain functions. Interceptors that refuse
calls often have plain functions, as in gRPC's own example.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any

import grpc

Handler = Any
"""An RpcMethodHandler. Its type does not say which of its four functions is set."""

Behavior = Callable[[Any, Any], Awaitable[Any]]
"""Serves a call: takes the request, or the stream of requests, and the context.

Returns the response; or writes a stream of responses to the context, and returns None.
"""

_Function = Callable[[Any, Any], Any]

# The attribute of a handler that holds its function, and the constructor of such a handler. The key
# says whether the requests and the responses are streams.
_KINDS: Mapping[tuple[bool, bool], tuple[str, Callable[..., Handler]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def function_of(handler: Handler) -> _Function:
    """The function of a handler."""
    attribute, _ = _KINDS[handler.request_streaming, handler.response_streaming]
    function: _Function = getattr(handler, attribute)
    return function


def make_handler(
    serve: Behavior, *, takes_stream: bool = False, gives_stream: bool = False, **serializers: Any
) -> Handler:
    """A handler with a single request or a stream, and with a single response or a stream."""
    _, make = _KINDS[takes_stream, gives_stream]
    return make(serve, **serializers)


def as_coroutine(handler: Handler) -> Behavior:
    """A coroutine function that serves a call like the handler."""
    function = function_of(handler)
    if inspect.iscoroutinefunction(function):
        return function
    if inspect.isasyncgenfunction(function):
        return _writing(function)
    return _in_thread(function, gives_stream=handler.response_streaming)


def _writing(generator: _Function) -> Behavior:
    """Close the generator in the task of the call, even if the client has gone.

    gRPC leaves that to the garbage collector. The call would end late and in another task, where
    OpenTelemetry cannot detach its span.
    """

    async def serve(request: Any, context: Any) -> None:
        async with aclosing(generator(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return serve


def _in_thread(function: _Function, *, gives_stream: bool) -> Behavior:
    async def serve(request: Any, context: Any) -> Any:
        blocking = _BlockingContext(context, asyncio.get_running_loop())
        answer = await asyncio.to_thread(function, request, blocking)
        if gives_stream:
            await asyncio.to_thread(_write_each, answer, blocking)
            return None
        return answer

    return serve


def _write_each(responses: Any, context: "_BlockingContext") -> None:
    for response in responses:
        context.write(response)


class _BlockingContext:
    """The context of a plain function, which cannot await."""

    def __init__(self, context: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._context, self._loop = context, loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def abort(self, *args: Any, **options: Any) -> None:
        self._wait(self._context.abort(*args, **options))

    def send_initial_metadata(self, metadata: Any) -> None:
        self._wait(self._context.send_initial_metadata(metadata))

    def write(self, response: Any) -> None:
        self._wait(self._context.write(response))

    def _wait(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
