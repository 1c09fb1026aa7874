import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from grpc import aio
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from structlog.testing import capture_logs

from observability.grpc_calls import InBandError
from observability.interceptor import CallObserver, ObservedMethod
from observability.metrics import Metrics
from service.app.metric_labels import new_metrics
from tests.support.counted_calls import ended, eventually, started
from tests.support.recorded_spans import Recorded
from tests.support.samples import NAMES


def in_band(answer: object) -> InBandError | None:
    if answer == b"odd":
        raise KeyError("hunter2")
    return InBandError("image_missing", "image x") if answer == b"bad" else None


async def unary(request: bytes, context: Any) -> bytes:
    match request:
        case b"answer":
            try:
                int("hunter2")
            except ValueError:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        case b"code":
            context.set_code(grpc.StatusCode.NOT_FOUND)
            raise RuntimeError("hunter2")
        case b"odd":
            return request
        case b"abort":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        case b"raise":
            raise RuntimeError("hunter2")
        case b"sleep":
            await asyncio.sleep(30)
        case b"count the spins":
            return str(Spins.begun).encode()
    return request


async def stream(request: bytes, _: Any) -> AsyncIterator[bytes]:
    yield b"1"
    if request == b"raise":
        raise RuntimeError("hunter2")
    if request == b"sleep":
        await asyncio.sleep(30)
    yield b"2"


async def write(request: bytes, context: Any) -> None:
    """Writes its responses, and yields none."""
    async for response in stream(request, context):
        await context.write(response)


async def fill(request: bytes, _: Any) -> AsyncIterator[bytes]:
    """More than a client takes at once."""
    while True:
        yield request * 100_000


async def echo(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def join(requests: AsyncIterator[bytes], context: Any) -> bytes:
    return await unary(b"".join([request async for request in requests]), context)


class Spins:
    """The calls of `Spin` that have begun."""

    begun = 0


async def spin(request: bytes, _: Any) -> bytes:
    Spins.begun += 1
    until = time.perf_counter() + 0.0005
    while time.perf_counter() < until:
        pass
    return request


def _ascii(raw: bytes) -> bytes:
    return raw.decode("ascii").encode()


HANDLERS: dict[str, Any] = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary, _ascii),
    "Stream": grpc.unary_stream_rpc_method_handler(stream, _ascii),
    "Write": grpc.unary_stream_rpc_method_handler(write, _ascii),
    "Fill": grpc.unary_stream_rpc_method_handler(fill, _ascii),
    "Join": grpc.stream_unary_rpc_method_handler(join, _ascii),
    "Echo": grpc.stream_stream_rpc_method_handler(echo, _ascii),
    "Spin": grpc.unary_unary_rpc_method_handler(spin),
}


METHODS = [
    ObservedMethod(
        f"a.Service/{name}",
        takes_stream=handler.request_streaming,
        traced=name != "Spin",
        error_in=in_band,
    )
    for name, handler in HANDLERS.items()
]


@pytest.fixture
def metrics() -> Metrics:
    return new_metrics(NAMES, version="1", engine="docker", mode="production")


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
async def channel(metrics: Metrics, recorded: Recorded) -> AsyncIterator[Any]:
    tracing = aio_server_interceptor(recorded.provider)  # type: ignore[no-untyped-call]
    server = aio.server(interceptors=[CallObserver(metrics, METHODS, tracing)])
    server.add_registered_method_handlers("a.Service", HANDLERS)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(None)


UNARY, STREAM = "a.Service/Unary", "a.Service/Stream"
WRITE, FILL = "a.Service/Write", "a.Service/Fill"
ECHO, SPIN, JOIN = "a.Service/Echo", "a.Service/Spin", "a.Service/Join"


async def test_a_call_is_counted_and_timed(channel: Any, metrics: Metrics) -> None:
    assert b"x" == await channel.unary_unary(f"/{UNARY}")(b"x")
    assert 1 == started(metrics, UNARY)
    assert {(UNARY, "OK"): 1} == ended(metrics)


async def test_an_in_band_error_is_ok_on_the_wire(channel: Any, metrics: Metrics) -> None:
    assert b"bad" == await channel.unary_unary(f"/{UNARY}")(b"bad")
    assert {(UNARY, "OK"): 1} == ended(metrics)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"abort", "UNAVAILABLE"),
        (b"raise", "UNKNOWN"),
        (b"code", "UNKNOWN"),
        (b"odd", "UNKNOWN"),
    ],
)
async def test_a_call_that_fails_has_the_status_of_the_wire(
    channel: Any, metrics: Metrics, request_: bytes, status: str
) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await channel.unary_unary(f"/{UNARY}")(request_)
    assert status == caught.value.code().name
    await eventually(lambda: ended(metrics))  # the client may hear of it first
    assert {(UNARY, status): 1} == ended(metrics)


@pytest.mark.parametrize("deadline", [None, 30])
async def test_a_client_that_goes_away_cancels(
    channel: Any, metrics: Metrics, deadline: float | None
) -> None:
    call = channel.unary_unary(f"/{UNARY}")(b"sleep", timeout=deadline)
    await eventually(lambda: started(metrics, UNARY))
    call.cancel()
    await eventually(lambda: ended(metrics))
    assert {(UNARY, "CANCELLED"): 1} == ended(metrics)


async def test_a_call_that_takes_too_long_is_late(channel: Any, metrics: Metrics) -> None:
    with pytest.raises(aio.AioRpcError):
        await channel.unary_unary(f"/{UNARY}")(b"sleep", timeout=1)
    await eventually(lambda: ended(metrics))
    assert {(UNARY, "DEADLINE_EXCEEDED"): 1} == ended(metrics)


async def test_a_deadline_that_hangs_up_a_little_early_is_one(
    channel: Any, metrics: Metrics
) -> None:
    """As the client's own does, by the time that its request was under way."""
    call = channel.unary_unary(f"/{UNARY}")(b"sleep", timeout=1)
    await eventually(lambda: call.time_remaining() < 0.02)
    call.cancel()
    await eventually(lambda: ended(metrics))
    assert {(UNARY, "DEADLINE_EXCEEDED"): 1} == ended(metrics)


async def test_a_stream_is_one_call(channel: Any, metrics: Metrics) -> None:
    answers = [answer async for answer in channel.unary_stream(f"/{STREAM}")(b"x")]
    assert [b"1", b"2"] == answers
    await eventually(lambda: ended(metrics))
    assert 1 == started(metrics, STREAM)
    assert {(STREAM, "OK"): 1} == ended(metrics)


async def test_a_stream_that_fails_has_the_status_of_the_wire(
    channel: Any, metrics: Metrics
) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        async for _ in channel.unary_stream(f"/{STREAM}")(b"raise"):
            pass
    assert "UNKNOWN" == caught.value.code().name
    await eventually(lambda: ended(metrics))
    assert {(STREAM, "UNKNOWN"): 1} == ended(metrics)


async def test_a_stream_whose_client_goes_away_is_cancelled(channel: Any, metrics: Metrics) -> None:
    call = channel.unary_stream(f"/{STREAM}")(b"sleep")
    assert b"1" == await call.read()
    call.cancel()
    await eventually(lambda: ended(metrics))
    assert {(STREAM, "CANCELLED"): 1} == ended(metrics)


async def test_a_stream_may_write_its_responses_itself(
    channel: Any, metrics: Metrics, recorded: Recorded
) -> None:
    assert [b"1", b"2"] == [each async for each in channel.unary_stream(f"/{WRITE}")(b"x")]
    with pytest.raises(aio.AioRpcError) as caught:
        await anext(aiter(channel.unary_stream(f"/{WRITE}")(UNREADABLE)))
    assert grpc.StatusCode.INVALID_ARGUMENT is caught.value.code()
    await eventually(lambda: 2 == len(recorded.spans))
    assert {(WRITE, "OK"): 1, (WRITE, "INVALID_ARGUMENT"): 1} == ended(metrics)


async def test_a_stream_whose_client_goes_away_while_it_sends_ends_at_once_and_cleanly(
    channel: Any, metrics: Metrics, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """Left to the garbage collector, it would end late, and OpenTelemetry would log an error."""
    call = channel.unary_stream(f"/{FILL}")(b"x")
    await call.read()
    await asyncio.sleep(0.2)  # until the client takes no more: then the server waits to send
    call.cancel()
    await eventually(lambda: ended(metrics))
    assert {(FILL, "CANCELLED"): 1} == ended(metrics)
    await eventually(lambda: recorded.spans)
    assert "" == caplog.text


async def test_methods_that_are_not_here_count_as_other(channel: Any, metrics: Metrics) -> None:
    for number in range(3):
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary(f"/made.Up/Method{number}")(b"x")
        assert grpc.StatusCode.UNIMPLEMENTED is caught.value.code()
    assert 3 == started(metrics, "other")
    assert {("other", "UNIMPLEMENTED"): 3} == ended(metrics)


UNREADABLE = b"\xff"


async def answers(channel: Any, method: str, request: bytes) -> list[bytes]:
    """All of them, whichever kind of method it is."""
    if method == UNARY:
        return [await channel.unary_unary(f"/{method}")(request)]
    if method == JOIN:
        return [await channel.stream_unary(f"/{method}")(iter([request]))]
    if method == STREAM:
        return [answer async for answer in channel.unary_stream(f"/{method}")(request)]
    return [answer async for answer in channel.stream_stream(f"/{method}")(iter([request]))]


@pytest.mark.parametrize("method", [UNARY, STREAM, JOIN, ECHO])
async def test_a_request_that_cannot_be_read_is_the_clients_fault(
    channel: Any, metrics: Metrics, recorded: Recorded, method: str
) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await answers(channel, method, UNREADABLE)
    told = caught.value.code(), caught.value.details()
    assert (grpc.StatusCode.INVALID_ARGUMENT, "the request cannot be read") == told
    await eventually(lambda: ended(metrics))
    assert {(method, "INVALID_ARGUMENT"): 1} == ended(metrics)
    await eventually(lambda: recorded.spans)
    (span,) = recorded.spans
    assert "codec" not in span.to_json()  # what protobuf says of a request may be some of it


async def test_many_requests_may_have_one_response(
    channel: Any, metrics: Metrics, recorded: Recorded
) -> None:
    join = channel.stream_unary(f"/{JOIN}")
    assert b"ok" == await join(iter([b"o", b"k"]))
    assert b"" == await join(iter([]))
    assert b"bad" == await join(iter([b"ba", b"d"]))
    with pytest.raises(aio.AioRpcError) as caught:
        await join(iter([b"ab", b"ort"]))
    assert grpc.StatusCode.UNAVAILABLE is caught.value.code()
    await eventually(lambda: 4 == sum(ended(metrics).values()))
    assert {(JOIN, "OK"): 3, (JOIN, "UNAVAILABLE"): 1} == ended(metrics)
    failed = [span for span in recorded.spans if span.status.status_code is StatusCode.ERROR]
    assert ["image_missing", "UNAVAILABLE"] == [
        (span.attributes or {})["error.type"] for span in failed
    ]


async def test_requests_of_a_stream_come_one_by_one(channel: Any, metrics: Metrics) -> None:
    call = channel.stream_stream(f"/{ECHO}")()
    for request in (b"1", b"2"):
        await call.write(request)
        assert request == await call.read()
    await call.done_writing()
    assert aio.EOF is await call.read()
    await eventually(lambda: ended(metrics))
    assert {(ECHO, "OK"): 1} == ended(metrics)


async def test_a_method_overtakes_a_crowd_of_calls_of_another(channel: Any) -> None:
    """As health must: gRPC takes in one call of each registered method in each turn.

    On a busy machine a call may arrive late. Behind the crowd it would be the last each time.
    """
    for _ in range(20):
        if await _begun_before(channel) < CROWD / 2:
            return
    pytest.fail("it has waited for most of the crowd each time")


CROWD = 400


async def _begun_before(channel: Any) -> int:
    """How many of a crowd have begun when a call of another method does, which was sent last."""
    before = Spins.begun
    crowd = [channel.unary_unary(f"/{SPIN}")(b"x") for _ in range(CROWD)]
    begun = int(await channel.unary_unary(f"/{UNARY}")(b"count the spins"))
    await asyncio.gather(*crowd)
    return begun - before


# What the span of a call says, and what nobody is told


async def span_of(channel: Any, recorded: Recorded, request: bytes) -> ReadableSpan:
    with suppress(aio.AioRpcError):
        await channel.unary_unary(f"/{UNARY}")(request)
    await eventually(lambda: recorded.spans)
    (span,) = recorded.spans
    assert f"/{UNARY}" == span.name
    return span


async def test_an_in_band_error_marks_the_span(channel: Any, recorded: Recorded) -> None:
    span = await span_of(channel, recorded, b"bad")
    assert (StatusCode.ERROR, "image x") == (span.status.status_code, span.status.description)
    assert "image_missing" == (span.attributes or {})["error.type"]


async def test_success_leaves_the_span_alone(channel: Any, recorded: Recorded) -> None:
    span = await span_of(channel, recorded, b"x")
    assert StatusCode.UNSET is span.status.status_code
    assert "error.type" not in (span.attributes or {})


async def test_a_method_that_is_not_traced_has_no_span(channel: Any, recorded: Recorded) -> None:
    await channel.unary_unary(f"/{SPIN}")(b"x")
    await span_of(channel, recorded, b"x")  # the only one


@pytest.mark.parametrize(
    ("method", "request_"),
    [(UNARY, b"raise"), (UNARY, b"odd"), (STREAM, b"raise"), (JOIN, b"raise")],
)
async def test_nobody_is_told_what_an_unexpected_error_says(
    channel: Any,
    recorded: Recorded,
    caplog: pytest.LogCaptureFixture,
    method: str,
    request_: bytes,
) -> None:
    """It may be a secret. The log tells where it came from."""
    with capture_logs() as logs, pytest.raises(aio.AioRpcError) as caught:
        await answers(channel, method, request_)
    await eventually(lambda: recorded.spans)
    (span,) = recorded.spans
    assert StatusCode.ERROR is span.status.status_code
    assert "UNKNOWN" == (span.attributes or {})["error.type"]
    (crash,) = logs
    assert ("request.crashed", method) == (crash["event"], crash["operation"])
    assert crash["traceback"].endswith("Error")
    assert "test_methods.py" in crash["traceback"]
    assert crash["peer"].startswith("127.0.0.1:")
    assert crash["user_agent"].startswith("grpc-python-asyncio/")
    told = f"{caught.value}{span.to_json()}{caplog.text}"
    assert "hunter2" not in told


async def test_a_span_does_not_tell_what_an_abort_has_answered(
    channel: Any, recorded: Recorded
) -> None:
    span = await span_of(channel, recorded, b"answer")
    assert "UNAVAILABLE" == (span.attributes or {})["error.type"]
    assert "hunter2" not in span.to_json()


async def test_a_duration_has_the_trace_as_exemplar(
    channel: Any, metrics: Metrics, recorded: Recorded
) -> None:
    span = await span_of(channel, recorded, b"x")
    assert span.context is not None
    exemplars = [
        sample.exemplar.labels
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.exemplar
    ]
    assert [{"trace_id": format(span.context.trace_id, "032x")}] == exemplars
