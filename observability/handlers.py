"""The handlers of gRPC methods, which come in many kinds, as one kind of function.

grpc.aio takes coroutines, asynchronous generators and plain functions. Plain functions are common
in interceptors that refuse calls; gRPC's own example of such an interceptor has one.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any

import grpc

Handler = Any
"""An RpcMethodHandler. Its type does not tell which of its four functions is set."""

Behavior = Callable[[Any, Any], Awaitable[Any]]
"""Serves a call: takes the request, or the stream of requests, and the context.

Returns the response; or writes a stream of responses to the context, and returns None.
"""

_Function = Callable[[Any, Any], Any]

# The attribute of a handler that holds its function, and what makes such a handler, by whether the
# requests and the responses are streams.
_KINDS: Mapping[tuple[bool, bool], tuple[str, Callable[..., Handler]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def function_of(handler: Handler) -> _Function:
    """The function of a handler, as it was given to gRPC."""
    attribute, _ = _KINDS[handler.request_streaming, handler.response_streaming]
    function: _Function = getattr(handler, attribute)
    return function


def make_handler(
    serve: Behavior, *, takes_stream: bool = False, gives_stream: bool = False, **serializers: Any
) -> Handler:
    """A handler whose requests, and whose responses, may be streams."""
    _, make = _KINDS[takes_stream, gives_stream]
    return make(serve, **serializers)


def as_coroutine(handler: Handler) -> Behavior:
    """A coroutine function that serves a call as the handler does."""
    function = function_of(handler)
    if inspect.iscoroutinefunction(function):
        return function
    if inspect.isasyncgenfunction(function):
        return _writing(function)
    return _in_thread(function, gives_stream=handler.response_streaming)


def _writing(generator: _Function) -> Behavior:
    """Closes the generator in the task of the call, also where the client goes away.

    gRPC leaves that to the garbage collector. The call would then end late and in another task,
    where OpenTelemetry cannot detach its span.
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
    """The context for a plain function, which cannot await."""

    def __init__(self, context: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._context, self._loop = context, loop

    def __getattr__(self, name: str) -> Any:
        """What does not have to be awaited."""
        return getattr(self._context, name)

    def abort(self, *args: Any, **options: Any) -> None:
        """End the call with an error. Raises `AbortError`."""
        self._wait(self._context.abort(*args, **options))

    def send_initial_metadata(self, metadata: Any) -> None:
        """Send the metadata that precede the responses."""
        self._wait(self._context.send_initial_metadata(metadata))

    def write(self, response: Any) -> None:
        """Send a response of a stream."""
        self._wait(self._context.write(response))

    def _wait(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
