"""Interceptors as others write them, behind the one that observes every call."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import aio
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from structlog.testing import capture_logs

from observability.callers import caller
from observability.grpc_handlers import function_of, make_handler
from observability.interceptor import CallObserver, ObservedMethod
from service.app.metric_labels import new_metrics
from tests.support.counted_calls import ended, eventually, started
from tests.support.recorded_spans import Recorded
from tests.support.samples import NAMES

UNARY, STREAM, JOIN, ECHO = KINDS = ("Unary", "Stream", "Join", "Echo")
_LONG = 30.0
TOKEN = (("token", "hunter2"),)

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


async def unary(request: str, _: Any) -> str:
    return request


async def stream(request: str, _: Any) -> AsyncIterator[str]:
    for word in request.split():
        yield word


async def join(requests: AsyncIterator[str], _: Any) -> str:
    return " ".join([request async for request in requests])


async def echo(requests: AsyncIterator[str], _: Any) -> AsyncIterator[str]:
    async for request in requests:
        yield request


# The methods take and give text. gRPC encodes that by itself.
_TEXT: dict[str, Any] = {"request_deserializer": bytes.decode}
HANDLERS: dict[str, Any] = {
    UNARY: grpc.unary_unary_rpc_method_handler(unary, **_TEXT),
    STREAM: grpc.unary_stream_rpc_method_handler(stream, **_TEXT),
    JOIN: grpc.stream_unary_rpc_method_handler(join, **_TEXT),
    ECHO: grpc.stream_stream_rpc_method_handler(echo, **_TEXT),
}
METHODS = [
    ObservedMethod(f"a.Service/{name}", takes_stream=handler.request_streaming, traced=True)
    for name, handler in HANDLERS.items()
]


class World:
    """A server with interceptors, a client, and what is known of the calls."""

    def __init__(self) -> None:
        self.metrics = new_metrics(NAMES, version="1", engine="docker", mode="production")
        self.recorded = Recorded()
        tracing = aio_server_interceptor(self.recorded.provider)  # type: ignore[no-untyped-call]
        self.observer = CallObserver(self.metrics, METHODS, tracing)

    @asynccontextmanager
    async def serving(self, *interceptors: aio.ServerInterceptor) -> AsyncIterator["World"]:
        async with _serving([self.observer, *interceptors]) as self.channel:
            yield self

    async def ask(self, kind: str, *requests: bytes, metadata: Any = ()) -> list[bytes]:
        return await _ask(self.channel, kind, *requests, metadata=metadata)

    async def status(self, kind: str, *requests: bytes, metadata: Any = ()) -> tuple[str, str]:
        """With which a call fails."""
        with pytest.raises(grpc.RpcError) as caught:
            await self.ask(kind, *requests, metadata=metadata)
        error: Any = caught.value
        return error.code().name, error.details() or ""

    async def ended(self) -> dict[tuple[str, str], float]:
        """How calls have ended, of which there is one: the client may hear of it first."""
        await eventually(lambda: ended(self.metrics))
        return ended(self.metrics)

    async def span(self) -> ReadableSpan:
        await eventually(lambda: self.recorded.spans)
        (span,) = self.recorded.spans
        return span


@asynccontextmanager
async def _serving(interceptors: Sequence[aio.ServerInterceptor]) -> AsyncIterator[grpc.Channel]:
    server = aio.server(interceptors=interceptors)
    server.add_registered_method_handlers("a.Service", HANDLERS)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def _ask(channel: Any, kind: str, *requests: bytes, metadata: Any = ()) -> list[bytes]:
    """All responses of a method, whichever kind it is.

    Not with a client of grpc.aio: for it, INTERNAL is how a call ends that is refused while it
    writes a request to a stream.
    """
    return await asyncio.to_thread(_answers, channel, kind, requests, metadata)


def _answers(channel: Any, kind: str, requests: Sequence[bytes], metadata: Any) -> list[bytes]:
    path = f"/a.Service/{kind}"
    options: dict[str, Any] = {"metadata": metadata, "timeout": _LONG}
    match kind:
        case "Stream":
            return list(channel.unary_stream(path)(*requests, **options))
        case "Join":
            return [channel.stream_unary(path)(iter(requests), **options)]
        case "Echo":
            return list(channel.stream_stream(path)(iter(requests), **options))
        case _:
            return [channel.unary_unary(path)(*requests, **options)]


# One that reads metadata and refuses


class Doorkeeper(aio.ServerInterceptor):
    """Refuses who brings no token, with a handler of the method's kind or of one for all."""

    def __init__(self, abort: Callable[[Any, Any], Any], *, one_for_all: bool = False) -> None:
        self._abort = abort
        self._refusal: Any = grpc.unary_unary_rpc_method_handler(abort) if one_for_all else None

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        if TOKEN[0] in handler_call_details.invocation_metadata:
            return await continuation(handler_call_details)
        if self._refusal:
            return self._refusal
        handler = await continuation(handler_call_details)
        return make_handler(
            self._abort,
            takes_stream=handler.request_streaming,
            gives_stream=handler.response_streaming,
        )


async def _abort(_request: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")


def _plain_abort(_request: Any, context: Any) -> None:
    """As gRPC's own example of an interceptor has it, for grpc.aio, too."""
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")


DOORKEEPERS = {
    "of the kind": Doorkeeper(_abort),
    "one for all": Doorkeeper(_abort, one_for_all=True),
    "plain": Doorkeeper(_plain_abort, one_for_all=True),
}


@pytest.fixture(params=DOORKEEPERS.values(), ids=list(DOORKEEPERS))
async def guarded(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with World().serving(request.param) as world:
        yield world


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_refuses_is_heeded_and_the_call_is_observed(
    guarded: World, kind: str
) -> None:
    assert ("UNAUTHENTICATED", "no token") == await guarded.status(kind, b"x")
    assert {(f"a.Service/{kind}", "UNAUTHENTICATED"): 1} == await guarded.ended()
    assert 1 == started(guarded.metrics, f"a.Service/{kind}")
    span = await guarded.span()
    assert (f"/a.Service/{kind}", StatusCode.ERROR) == (span.name, span.status.status_code)
    assert "UNAUTHENTICATED" == (span.attributes or {})["error.type"]


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_lets_a_call_pass_leaves_it_as_it_is(guarded: World, kind: str) -> None:
    assert [b"x"] == await guarded.ask(kind, b"x", metadata=TOKEN)
    assert {(f"a.Service/{kind}", "OK"): 1} == await guarded.ended()
    assert StatusCode.UNSET is (await guarded.span()).status.status_code


@pytest.mark.parametrize("kind", [JOIN, ECHO])
async def test_a_client_stream_without_a_request_is_refused_as_well(
    guarded: World, kind: str
) -> None:
    """gRPC alone waits for a request where the refusal is a handler of one request."""
    assert ("UNAUTHENTICATED", "no token") == await guarded.status(kind)


async def test_who_is_refused_at_a_method_that_is_not_there_counts_as_other() -> None:
    async with World().serving(DOORKEEPERS["one for all"]) as world:
        assert "UNAUTHENTICATED" == (await world.status("Nothing", b"x"))[0]
        assert {("other", "UNAUTHENTICATED"): 1} == await world.ended()
        assert [] == world.recorded.spans


async def test_calls_by_turns_are_each_treated_as_it_wants(guarded: World) -> None:
    """What was wrapped for the call before does not serve another."""
    for _ in range(3):
        assert [b"x"] == await guarded.ask(UNARY, b"x", metadata=TOKEN)
        assert "UNAUTHENTICATED" == (await guarded.status(UNARY, b"x"))[0]
    await eventually(lambda: 6 == sum(ended(guarded.metrics).values()))
    name = "a.Service/Unary"
    assert {(name, "OK"): 3, (name, "UNAUTHENTICATED"): 3} == ended(guarded.metrics)


# One that wraps what serves a call


class Noting(aio.ServerInterceptor):
    """Notes what goes through it, in the way of the libraries: a new handler for each call."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self._name, self._notes = name, notes

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(handler_call_details)
        return make_handler(
            self._around(function_of(handler)),
            takes_stream=handler.request_streaming,
            gives_stream=handler.response_streaming,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _around(self, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        async def unary(request: Any, context: Any) -> Any:
            response = await function(self._noted(request), context)
            self._note(f"> {response}")
            return response

        async def stream(request: Any, context: Any) -> Any:
            async for response in function(self._noted(request), context):
                self._note(f"> {response}")
                yield response

        return stream if inspect.isasyncgenfunction(function) else unary

    def _noted(self, request: Any) -> Any:
        if isinstance(request, str):
            self._note(f"< {request}")
            return request
        return self._each_noted(request)

    async def _each_noted(self, requests: AsyncIterator[str]) -> AsyncIterator[str]:
        async for request in requests:
            self._note(f"< {request}")
            yield request

    def _note(self, what: str) -> None:
        assert caller().peer.startswith("127.0.0.1:")
        self._notes.append(f"{self._name} {what}")


@pytest.mark.parametrize("kind", KINDS)
async def test_those_that_wrap_see_messages_and_the_first_is_outermost(kind: str) -> None:
    notes: list[str] = []
    async with World().serving(Noting("1", notes), Noting("2", notes)) as world:
        for _ in range(2):
            assert [b"x"] == await world.ask(kind, b"x")
        assert ["1 < x", "2 < x", "2 > x", "1 > x"] * 2 == notes
        await eventually(lambda: {(f"a.Service/{kind}", "OK"): 2} == ended(world.metrics))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_request_that_cannot_be_read_is_the_clients_fault_behind_them(kind: str) -> None:
    notes: list[str] = []
    async with World().serving(Noting("1", notes), Noting("2", notes)) as world:
        with capture_logs() as logs:
            told = await world.status(kind, b"\xff")
        assert ("INVALID_ARGUMENT", "the request cannot be read") == told
        assert {(f"a.Service/{kind}", "INVALID_ARGUMENT"): 1} == await world.ended()
        assert ([], []) == (notes, logs)


# Those that fail, or know of no handler


class Failing(aio.ServerInterceptor):
    async def intercept_service(self, *_: Any) -> Any:
        raise RuntimeError(TOKEN[0][1])


class Nobody(aio.ServerInterceptor):
    async def intercept_service(self, *_: Any) -> Any:
        return None


@pytest.mark.parametrize("kind", KINDS)
async def test_the_error_of_one_is_told_to_the_log_and_not_to_the_client(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with World().serving(Failing()) as world:
        with capture_logs() as logs:
            told = await world.status(kind, b"x")
        assert ("UNKNOWN", "an error of the server's own") == told
        assert {(f"a.Service/{kind}", "UNKNOWN"): 1} == await world.ended()
        (crash,) = logs
        assert ("request.crashed", f"a.Service/{kind}") == (crash["event"], crash["operation"])
        assert "in intercept_service" in crash["traceback"]
        assert "hunter2" not in f"{crash}{(await world.span()).to_json()}{caplog.text}"


async def test_a_method_that_one_hides_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    async with World().serving(Nobody()) as world:
        assert "UNIMPLEMENTED" == (await world.status(UNARY, b"x"))[0]
        assert {("a.Service/Unary", "UNIMPLEMENTED"): 1} == await world.ended()
    assert "" == caplog.text


# OpenTelemetry's own interceptor, to compare with


@pytest.mark.parametrize("kind", KINDS)
async def test_a_span_is_as_opentelemetrys_interceptor_makes_it_alone(kind: str) -> None:
    alone = Recorded()
    tracing = aio_server_interceptor(alone.provider)  # type: ignore[no-untyped-call]
    async with _serving([tracing]) as channel:
        await _ask(channel, kind, b"x")
    async with World().serving() as world:
        await world.ask(kind, b"x")
        ours = await world.span()
    (theirs,) = alone.spans
    assert _described(theirs) == _described(ours)


def _described(span: ReadableSpan) -> tuple[Any, ...]:
    attributes = {k: v for k, v in (span.attributes or {}).items() if k != "net.peer.port"}
    return span.name, span.kind, span.status.status_code, attributes


@pytest.mark.parametrize("kind", KINDS)
async def test_opentelemetrys_interceptor_may_be_one_of_the_others(kind: str) -> None:
    world = World()
    second = aio_server_interceptor(world.recorded.provider)  # type: ignore[no-untyped-call]
    async with world.serving(second):
        assert [b"x"] == await world.ask(kind, b"x")
        await eventually(lambda: 2 == len(world.recorded.spans))
        inner, outer = world.recorded.spans
        assert inner.name == outer.name == f"/a.Service/{kind}"


# Plain functions


async def test_a_plain_function_may_stream_and_does_not_hold_up_the_loop() -> None:
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def words(request: bytes, context: Any) -> Any:
        context.send_initial_metadata((("sent", "first"),))
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(_LONG)
        yield from request.split()

    class Instead(aio.ServerInterceptor):
        async def intercept_service(self, *_: Any) -> Any:
            return grpc.unary_stream_rpc_method_handler(words)

    async with World().serving(Instead()) as world:
        channel: Any = world.channel
        call = channel.unary_stream("/a.Service/Stream")(b"a b", timeout=_LONG)
        assert ("sent", "first") in tuple(await asyncio.to_thread(call.initial_metadata))
        release.set()
        assert [b"a", b"b"] == await asyncio.to_thread(list, call)
        assert {("a.Service/Stream", "OK"): 1} == await world.ended()
