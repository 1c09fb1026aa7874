import re
import time
from contextlib import suppress

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.trace import SpanKind, StatusCode, TraceFlags

from observability.spans import (
    annotate,
    emit_span,
    end_span,
    fail_span,
    links_to,
    record_wait,
    start_client_span,
    trace_environment,
    wait_span,
)
from tests.support.recorded_spans import Recorded, sampled_span, unsampled_span

_LINKED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_MILLISECOND = 1_000_000


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """What becomes of the spans that are made here."""
    made = Recorded()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: made.provider)
    return made


# What a container gets


def test_a_container_gets_the_trace_that_is_current() -> None:
    with sampled_span() as span:
        ids = span.get_span_context()
        expected = f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}"
        assert ids.trace_flags.sampled
        assert {"TRACEPARENT": expected} == trace_environment()


def test_without_a_trace_a_container_gets_nothing() -> None:
    assert {} == trace_environment()


def test_a_trace_that_nobody_keeps_is_passed_on_as_such() -> None:
    with unsampled_span():
        traceparent = trace_environment()["TRACEPARENT"]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", traceparent)
    assert not int(traceparent[-2:], 16) & TraceFlags.SAMPLED


def test_baggage_stays_here() -> None:
    with sampled_span():
        token = context.attach(baggage.set_baggage("token", "hunter2"))
        try:
            assert {"TRACEPARENT"} == set(trace_environment())
        finally:
            context.detach(token)


# What spans say


def test_attributes_and_failures_go_on_the_current_span() -> None:
    recorded = Recorded()
    with recorded.tracer.start_as_current_span("request") as span:
        annotate({"supervisor.job.name": "timer"})
        fail_span(span, "image_missing", "image x: is not there")
    [ended] = recorded.spans
    assert {"supervisor.job.name": "timer", "error.type": "image_missing"} == dict(
        ended.attributes or {}
    )
    assert (StatusCode.ERROR, "image x: is not there") == (
        ended.status.status_code,
        ended.status.description,
    )


def test_annotating_without_a_span_is_harmless() -> None:
    annotate({"a": 1})


def test_a_call_is_a_child_span_of_the_request(recorded: Recorded) -> None:
    with recorded.tracer.start_as_current_span("request") as parent:
        end_span(start_client_span("create", {"container.name": "x"}, 10), 12.5)
        assert parent is trace.get_current_span()
    call = recorded.spans[0]
    assert ("create", SpanKind.CLIENT) == (call.name, call.kind)
    assert (10 * 10**9, 12_500_000_000) == (call.start_time, call.end_time)
    assert {"container.name": "x"} == dict(call.attributes or {})
    assert call.parent == parent.get_span_context()


def test_without_a_request_a_call_is_no_trace_of_its_own(recorded: Recorded) -> None:
    span = start_client_span("ping", {}, 10)
    end_span(span, 11)
    assert not span.get_span_context().is_valid
    assert [] == recorded.spans


def test_a_span_that_has_ended_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A launch goes on when its client has hung up, and its span is over by then."""
    span = Recorded().tracer.start_span("request")
    span.end()
    with trace.use_span(span):
        annotate({"a": 1})
        fail_span(span, "timeout")
    assert "" == caplog.text


# Waits


def test_a_wait_is_a_span_linked_to_what_was_waited_for(recorded: Recorded) -> None:
    with (
        recorded.tracer.start_as_current_span("request") as parent,
        wait_span("launch", linked=_LINKED),
    ):
        time.sleep(0.005)
    wait = recorded.spans[0]
    assert ("wait for launch", parent.get_span_context()) == (wait.name, wait.parent)
    assert [int(_LINKED[3:35], 16)] == [link.context.trace_id for link in wait.links]
    assert (wait.end_time or 0) - (wait.start_time or 0) >= 5 * _MILLISECOND


def test_what_takes_no_time_is_no_wait(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 10.0)
    with recorded.tracer.start_as_current_span("request"), wait_span("slot"):
        pass
    assert ["request"] == [span.name for span in recorded.spans]


def test_a_wait_that_fails_is_a_wait_all_the_same(recorded: Recorded) -> None:
    with (
        recorded.tracer.start_as_current_span("request"),
        suppress(TimeoutError),
        wait_span("engine"),
    ):
        time.sleep(0.005)
        raise TimeoutError
    assert "wait for engine" == recorded.spans[0].name


def test_without_a_request_nobody_waits(recorded: Recorded) -> None:
    record_wait("thread", 10, 11)
    assert [] == recorded.spans


def test_a_wait_is_part_of_the_call_that_waited(recorded: Recorded) -> None:
    with recorded.tracer.start_as_current_span("request"):
        call = start_client_span("create", {}, 10)
        record_wait("thread", 10, 10.5, within=call)
    wait = recorded.spans[0]
    assert ("wait for thread", call.get_span_context()) == (wait.name, wait.parent)
    assert (10 * 10**9, 10_500_000_000) == (wait.start_time, wait.end_time)


# What is over


def test_what_is_over_is_a_trace_of_its_own(recorded: Recorded) -> None:
    with (
        recorded.tracer.start_as_current_span("request"),
        emit_span("job", {"a": 1}, began=10, ended=12.5, links=links_to(_LINKED)) as span,
    ):
        assert span is trace.get_current_span()
    job = recorded.spans[0]
    assert ("job", None, 10 * 10**9, 12_500_000_000) == (
        job.name,
        job.parent,
        job.start_time,
        job.end_time,
    )
    assert [int(_LINKED[36:52], 16)] == [link.context.span_id for link in job.links]


def test_nothing_ends_before_it_began(recorded: Recorded) -> None:
    with emit_span("job", {}, began=10, ended=9, links=[]):
        pass
    assert [10 * 10**9] == [span.end_time for span in recorded.spans]


@pytest.mark.parametrize("broken", [None, "", "nonsense", "00-0-0-01"])
def test_there_is_no_link_to_nothing(broken: str | None) -> None:
    assert [] == links_to(broken)
