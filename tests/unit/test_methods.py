import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from grpc import aio
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.trace import StatusCode

from observability.methods import InBandError, ObservedMethods, _Method
from observability.metrics import Metrics
from tests.unit.samples import NAMES
from tests.unit.tracing_support import Recorded


def in_band(answer: object) -> InBandError | None:
    return InBandError("image_missing", "image x") if answer == b"bad" else None


async def unary(request: bytes, context: Any) -> bytes:
    match request:
        case b"abort":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        case b"raise":
            raise RuntimeError("hunter2")
        case b"sleep":
            await asyncio.sleep(30)
    return request


async def stream(request: bytes, _: Any) -> AsyncIterator[bytes]:
    yield b"1"
    if request == b"raise":
        raise RuntimeError("hunter2")
    if request == b"sleep":
        await asyncio.sleep(30)
    yield b"2"


def _methods(metrics: Metrics) -> ObservedMethods:
    tracing = aio_server_interceptor()  # type: ignore[no-untyped-call]
    return ObservedMethods(metrics, in_band, tracing)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(NAMES, version="1", engine="docker", mode="production")


@pytest.fixture
async def channel(metrics: Metrics) -> AsyncIterator[Any]:
    methods = _methods(metrics)
    server = aio.server(handlers=[methods])
    handlers: dict[str, Any] = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
    }
    methods.add_registered_method_handlers("a.Service", handlers)
    await methods.observe()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(None)


def started(metrics: Metrics, method: str) -> float | None:
    return metrics.registry.get_sample_value(
        "grpc_server_call_started_total", {"grpc_method": method}
    )


def ended(metrics: Metrics) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["grpc_method"], sample.labels["grpc_status"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "grpc_server_call_duration_seconds_count"
    }


async def eventually(check: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110 - metrics tell nobody that they have changed
            await asyncio.sleep(0.01)


UNARY, STREAM = "a.Service/Unary", "a.Service/Stream"


async def test_a_call_is_counted_and_timed(channel: Any, metrics: Metrics) -> None:
    assert b"x" == await channel.unary_unary(f"/{UNARY}")(b"x")
    assert 1 == started(metrics, UNARY)
    assert {(UNARY, "OK"): 1} == ended(metrics)


async def test_an_in_band_error_is_ok_on_the_wire(channel: Any, metrics: Metrics) -> None:
    assert b"bad" == await channel.unary_unary(f"/{UNARY}")(b"bad")
    assert {(UNARY, "OK"): 1} == ended(metrics)


@pytest.mark.parametrize(("request_", "status"), [(b"abort", "UNAVAILABLE"), (b"raise", "UNKNOWN")])
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
        await channel.unary_unary(f"/{UNARY}")(b"sleep", timeout=0.2)
    await eventually(lambda: ended(metrics))
    assert {(UNARY, "DEADLINE_EXCEEDED"): 1} == ended(metrics)


async def test_a_deadline_that_hangs_up_a_little_early_is_one(
    channel: Any, metrics: Metrics
) -> None:
    """As the client's own does, by the time that its request was under way."""
    call = channel.unary_unary(f"/{UNARY}")(b"sleep", timeout=0.5)
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


async def test_methods_that_are_not_registered_count_as_other(
    channel: Any, metrics: Metrics
) -> None:
    for number in range(3):
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary(f"/made.Up/Method{number}")(b"x")
        assert grpc.StatusCode.UNIMPLEMENTED is caught.value.code()
    assert 3 == started(metrics, "other")
    assert {("other", "UNIMPLEMENTED"): 3} == ended(metrics)


# What the span of a call says


class Context:
    """A call that has not been given a status."""

    def code(self) -> None:
        return None

    def time_remaining(self) -> float:
        return 10


async def observed(metrics: Metrics, request: bytes) -> Recorded:
    recorded = Recorded()
    handler: Any = grpc.unary_unary_rpc_method_handler(unary)
    wrapped = _methods(metrics)._observe(_Method(metrics, UNARY), handler)
    span = recorded.tracer.start_as_current_span(
        "rpc", record_exception=False, set_status_on_exception=False
    )
    with span:
        await wrapped.unary_unary(request, Context())
    return recorded


async def test_an_in_band_error_marks_the_span(metrics: Metrics) -> None:
    [span] = (await observed(metrics, b"bad")).spans
    assert (StatusCode.ERROR, "image x") == (span.status.status_code, span.status.description)
    assert {"error.type": "image_missing"} == dict(span.attributes or {})


async def test_success_leaves_the_span_alone(metrics: Metrics) -> None:
    [span] = (await observed(metrics, b"x")).spans
    assert StatusCode.UNSET is span.status.status_code
    assert {} == dict(span.attributes or {})


async def test_an_exception_marks_the_span_without_its_text(metrics: Metrics) -> None:
    recorded = Recorded()
    handler: Any = grpc.unary_unary_rpc_method_handler(unary)
    wrapped = _methods(metrics)._observe(_Method(metrics, UNARY), handler)
    span = recorded.tracer.start_as_current_span(
        "rpc", record_exception=False, set_status_on_exception=False
    )
    with pytest.raises(RuntimeError), span:
        await wrapped.unary_unary(b"raise", Context())
    [ended_span] = recorded.spans
    assert StatusCode.ERROR is ended_span.status.status_code
    assert {"error.type": "UNKNOWN"} == dict(ended_span.attributes or {})
    assert "hunter2" not in ended_span.to_json()


async def test_a_duration_has_the_trace_as_exemplar(metrics: Metrics) -> None:
    [span] = (await observed(metrics, b"x")).spans
    assert span.context is not None
    exemplars = [
        sample.exemplar.labels
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.exemplar
    ]
    assert [{"trace_id": format(span.context.trace_id, "032x")}] == exemplars
