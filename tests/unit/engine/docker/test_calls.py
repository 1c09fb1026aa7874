"""What waits for one of the thread_pool that talk to the Engine."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import StatusCode

from observability.metrics import Metrics
from service.app.metric_labels import new_metrics
from service.engine.base import EngineCall
from service.engine.docker import calls as calls_module
from service.engine.docker import thread_pool as threads_module
from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client
from service.engine.docker.connection import Clients
from service.errors import EngineTimeout
from tests.support.clock import Clock
from tests.support.collector import collecting
from tests.support.recorded_spans import Recorded

_LONG = 0.2
# A time limit that is over only when the clock is put forward (seconds).
_LIMIT = 60.0


class _NoEngine:
    """Clients of nothing: what is called here does not call any further."""

    timeout = 0

    def get(self) -> Any:
        return self


@pytest.fixture
def metrics() -> Metrics:
    return new_metrics([], version="test", engine="docker", mode="test")


@pytest.fixture
def calls(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """Calls that share a single thread, but for launches and lists, which have another."""
    monkeypatch.setattr(calls_module, "BULK_THREADS", 1)
    monkeypatch.setattr(calls_module, "MORE_THREADS", 0)
    made = Calls(cast("Clients", _NoEngine()), metrics, launches=1)
    yield made
    made.close()


def _workers(metrics: Metrics) -> dict[str, float | None]:
    name = "supervisor_engine_workers"
    states = ("busy", "queued", "limit")
    return {s: metrics.registry.get_sample_value(name, {"state": s}) for s in states}


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, calls_module, threads_module)


async def _call(calls: Calls, seconds: float, timeout: float = _LIMIT) -> None:
    await calls.call(Call("inspect", lambda _: time.sleep(seconds)), timeout=timeout)


@contextmanager
def _hung() -> Iterator[Call[bool]]:
    """A call that is answered once this is over, and not before."""
    over = threading.Event()
    try:
        yield Call("inspect", lambda _: over.wait(_LIMIT))
    finally:
        over.set()


def _telling(begun: threading.Event, call: Call[bool]) -> Call[bool]:
    """The same call, which tells that a thread has begun it."""

    def function(client: Client) -> bool:
        begun.set()
        return call.function(client)

    return Call(call.operation, function)


async def test_a_wait_for_a_thread_is_a_span(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: recorded.provider)
    with recorded.tracer.start_as_current_span("request"):
        await asyncio.gather(_call(calls, _LONG), _call(calls, 0))
    waits = [span for span in recorded.spans if span.name == "wait for thread"]
    inspects = [span for span in recorded.spans if span.name == "inspect"]
    assert waits
    assert inspects[-1].context == waits[-1].parent


async def test_a_collector_gets_the_wait_below_the_call_that_waited(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = TracerProvider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    with collecting() as collector:
        exporter = OTLPSpanExporter(endpoint=collector.address, insecure=True)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with provider.get_tracer("tests").start_as_current_span("request"):
            await asyncio.gather(_call(calls, _LONG), _call(calls, 0))
        await asyncio.to_thread(provider.shutdown)
        (wait, *_) = collector.spans("wait for thread")[-1:]
        assert wait.parent_id in {span.span_id for span in collector.spans("inspect")}


async def test_the_time_limit_of_a_call_counts_from_when_a_thread_has_it(
    calls: Calls, metrics: Metrics, clock: Clock
) -> None:
    with _hung() as long:
        asked = asyncio.create_task(calls.call(long, timeout=10 * _LIMIT))
        waits = [asyncio.create_task(_call(calls, 0)) for _ in range(3)]
        await asyncio.sleep(0)
        assert {"busy": 1, "queued": 3, "limit": 2} == _workers(metrics)
        await clock.pass_time(2 * _LIMIT)
    await asyncio.gather(asked, *waits)
    with _hung() as unanswered:
        given_up = asyncio.create_task(calls.call(unanswered, timeout=_LIMIT))
        await asyncio.sleep(0)
        await clock.pass_time(_LIMIT)
        with pytest.raises(EngineTimeout, match="took too long: inspect"):
            await given_up
    await _call(calls, 0)
    assert {"busy": 0, "queued": 0, "limit": 2} == _workers(metrics)


async def test_what_waits_is_given_up_with_a_call_that_an_engine_does_not_answer(
    calls: Calls, metrics: Metrics, clock: Clock
) -> None:
    """One that answers nobody would keep hundreds waiting, one time limit after the other."""
    begun = threading.Event()
    with _hung() as unanswered:
        call = _telling(begun, unanswered)
        asked = [asyncio.create_task(calls.call(call, timeout=_LIMIT)) for _ in range(500)]
        await asyncio.to_thread(begun.wait)  # or the first were out of time before it began
        await clock.pass_time(_LIMIT)  # and not 500 time limits
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert {EngineTimeout} == {type(answer) for answer in answers}
        assert {"busy": 1, "queued": 0, "limit": 2} == _workers(metrics)
    await _call(calls, 0)


async def test_a_call_with_little_time_takes_nothing_along_that_waits(
    calls: Calls, clock: Clock
) -> None:
    begun = threading.Event()
    with _hung() as unanswered:
        short = asyncio.create_task(calls.call(_telling(begun, unanswered), timeout=2))
        waits = asyncio.create_task(_call(calls, 0))
        await asyncio.to_thread(begun.wait)
        await clock.pass_time(2)
        with pytest.raises(EngineTimeout):
            await short
        assert not waits.done()
    await waits


async def test_one_call_that_is_not_answered_takes_no_other_along(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(calls_module, "BULK_THREADS", 2)
    calls = Calls(cast("Clients", _NoEngine()), metrics, launches=1)
    with _hung() as unanswered:
        odd = asyncio.create_task(calls.call(unanswered, timeout=_LIMIT))
        await _call(calls, 0)  # the Engine answers others meanwhile
        with _hung() as slow:
            others = [
                asyncio.create_task(calls.call(slow, timeout=10 * _LIMIT)) for _ in range(100)
            ]
            await asyncio.sleep(0)
            await clock.pass_time(_LIMIT)
            with pytest.raises(EngineTimeout):
                await odd
        assert [True] * 100 == await asyncio.gather(*others)
    calls.close()


async def test_what_ends_something_goes_before_what_stops_something_new(calls: Calls) -> None:
    """Or each exit would wait behind a kill of everything."""
    order: list[str] = []

    def note(operation: EngineCall) -> Call[None]:
        return Call(operation, lambda _: order.append(operation))

    asked: list[EngineCall] = ["inspect", "stop", "stop", "remove", "logs"]
    await asyncio.gather(*(calls.call(note(each), timeout=5) for each in asked))
    assert ["inspect", "remove", "logs", "stop", "stop"] == order


async def test_a_launch_and_a_list_do_not_wait_behind_kills(calls: Calls) -> None:
    go = threading.Event()
    kill = asyncio.create_task(calls.call(Call("stop", lambda _: go.wait(60)), timeout=60))
    for operation in ("create", "list", "ping"):
        await calls.call(Call(operation, lambda _: None), timeout=5)
    assert not kill.done()
    go.set()
    await kill


async def test_a_call_that_is_given_up_is_counted_no_more(calls: Calls, metrics: Metrics) -> None:
    """Also where its thread took it up in that very moment."""

    async def call_in_haste(number: int) -> None:
        with suppress(EngineTimeout):
            await _call(calls, 0.001, timeout=0.001 * number)

    await asyncio.gather(*map(call_in_haste, range(100)))
    await _call(calls, 0)  # behind whatever the thread still does
    assert {"busy": 0, "queued": 0, "limit": 2} == _workers(metrics)


def _made(metrics: Metrics) -> dict[str, float | None]:
    name = "supervisor_engine_operation_duration_seconds_count"
    operations = ("create", "start")
    return {o: metrics.registry.get_sample_value(name, {"operation": o}) for o in operations}


def _seconds(metrics: Metrics, operation: str) -> float:
    name = "supervisor_engine_operation_duration_seconds_sum"
    return metrics.registry.get_sample_value(name, {"operation": operation}) or 0.0


def _failed(metrics: Metrics, operation: str, reason: str) -> float | None:
    labels = {"operation": operation, "reason": reason}
    return metrics.registry.get_sample_value("supervisor_engine_errors_total", labels)


async def test_the_first_call_of_any_kind_starts_a_thread_of_each(calls: Calls) -> None:
    """Later there may be none left to start."""
    await _call(calls, 0)
    kinds = (calls._threads, calls._bulk_threads, calls._ping_threads)
    assert [1, 1, 1] == [thread_pool._started for thread_pool in kinds]


async def test_a_call_has_a_span_within_that_of_the_request(
    calls: Calls, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: recorded.provider)
    with recorded.tracer.start_as_current_span("request"):
        await calls.call(Call("start", lambda _: None, {"container.id": "c-1"}), timeout=10)
    spans = {span.name: span for span in recorded.spans}
    start, request = spans["start"], spans["request"]
    assert start.parent == request.context
    assert "c-1" == (start.attributes or {})["container.id"]
    assert {"create": 0, "start": 1} == _made(metrics)


async def test_a_call_that_is_out_of_time_is_told_by_what_it_is_about(
    calls: Calls, metrics: Metrics, clock: Clock
) -> None:
    with _hung() as unanswered:
        slow = Call("start", unanswered.function, {"container.name": "a-1"})
        given_up = asyncio.create_task(calls.call(slow, timeout=_LIMIT))
        await asyncio.sleep(0)
        await clock.pass_time(_LIMIT)
        with pytest.raises(EngineTimeout, match="took too long: start for a-1"):
            await given_up
    assert 1 == _failed(metrics, "start", "timeout")
    assert {"create": 0, "start": 1} == _made(metrics)
    assert _LIMIT <= _seconds(metrics, "start")


async def test_docker_py_is_given_the_time_that_there_is(calls: Calls) -> None:
    limits: list[float] = []
    await calls.call(Call("start", lambda c: limits.append(cast("float", c.timeout))), timeout=5)
    [limit] = limits
    assert 0 < limit <= 5


async def test_a_socket_that_keeps_one_waiting_is_out_of_time_and_its_span_failed(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: recorded.provider)

    def wait(_: object) -> None:
        raise TimeoutError("timed out")

    with recorded.tracer.start_as_current_span("request"), pytest.raises(EngineTimeout):
        await calls.call(Call("start", wait), timeout=10)
    (start,) = (span for span in recorded.spans if span.name == "start")
    assert StatusCode.ERROR is start.status.status_code
    assert "timeout" == (start.attributes or {})["error.type"]


async def test_no_call_is_made_once_finding_the_engines_version_has_taken_all_the_time(
    metrics: Metrics, clock: Clock
) -> None:
    ran = threading.Event()

    class Slow(_NoEngine):
        def get(self) -> Any:
            clock.put_forward(_LIMIT)
            return self

    calls = Calls(cast("Clients", Slow()), metrics, launches=1)
    with pytest.raises(EngineTimeout):
        await calls.call(Call("list", lambda _: ran.set()), timeout=_LIMIT)
    calls.close()
    assert not ran.is_set()
