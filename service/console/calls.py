"""Calls of the API within the process: its own servicers, for the client of a request."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message

from service._generated.area_types_pb2 import Response

# What a browser gets for a gRPC status.
_HTTP: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class CallFailed(Exception):
    """A call that has failed, with the status that a browser gets."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class _Context:
    """The context of a call that came through no channel, as far as servicers use it."""

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        del trailing_metadata
        raise CallFailed(_HTTP.get(code, 500), details)

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def set_trailing_metadata(self, metadata: Any) -> None:
        """Ignored: only backends use `retry-after`."""


async def call(method: Callable[[Any, Any], Awaitable[Message]], request: Message) -> Any:
    """The answer of a method with one answer. Raises `CallFailed`, and `Denied` as the method."""
    answer = await method(request, _Context())
    if isinstance(answer, Response) and answer.HasField("error"):
        raise CallFailed(answer.error.code, answer.error.message)
    return answer


async def stream(
    method: Callable[[Any, Any], AsyncGenerator[Any, None]], request: Message
) -> AsyncGenerator[Any, None]:
    """The answers of a method with many answers. Raises `CallFailed`."""
    async with aclosing(method(request, _Context())) as answers:
        async for answer in answers:
            yield answer
