"""The parts of the example workers that need no process."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span, SpanKind, StatusCode

from examples.worker import callbacks, seconds_interval, send_message, tracing
from examples.worker.arguments import ArgumentError, parse, required
from examples.worker.callbacks import Backend
from examples.worker.credentials import credentials
from examples.worker.seconds_interval import seconds_of
from tests.support.recorded_spans import Recorded
from tests.support.supervised import free_port

_TRACE_ID, _SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
_TRACEPARENT = f"00-{_TRACE_ID:032x}-{_SPAN_ID:016x}-01"

# The arguments


def test_arguments_are_pairs_whatever_the_keys() -> None:
    given = ["--target", "localhost:1", "--auth", "{}", "--workflowStepId", "7", "--empty", ""]
    expected = {"target": "localhost:1", "auth": "{}", "workflowStepId": "7", "empty": ""}
    assert expected == parse(given)
    assert {} == parse([])


def test_a_value_may_look_like_a_key() -> None:
    assert {"message": "--seconds", "seconds": "5"} == parse(
        ["--message", "--seconds", "--seconds", "5"]
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--target"], "the arguments are not pairs of --KEY VALUE"),
        (["--auth", "hunter2", "target", "hunter2"], "argument 3 should be a --KEY"),
        (["hunter2", "--target"], "argument 1 should be a --KEY"),
    ],
)
def test_what_is_not_pairs_is_refused_without_its_values(given: list[str], told: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse(given)
    assert told == str(caught.value)


@pytest.mark.parametrize("options", [{}, {"message": ""}, {"Message": "x"}])
def test_what_is_required_has_to_be_there(options: dict[str, str]) -> None:
    with pytest.raises(ArgumentError, match="--message: is missing"):
        required(options, "message")


@pytest.mark.parametrize(("text", "seconds"), [("5", 5.0), ("0.25", 0.25), ("1e3", 1000.0)])
def test_an_interval_is_a_number_above_zero(text: str, seconds: float) -> None:
    assert seconds == seconds_of({"seconds": text})


@pytest.mark.parametrize("text", ["", "0", "-1", "soon", "nan", "inf", "1e12", "5 s"])
def test_no_other_interval_will_do(text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        seconds_of({"seconds": text})
    expected = "has to be a number above 0, and at most a year" if text else "is missing"
    assert f"--seconds: {expected}" == str(caught.value)


# The credentials


def test_credentials_are_found_wherever_the_catalogue_puts_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert {} == credentials({})
    assert {"token": "é"} == credentials({"auth": '{"token":"é"}'})
    path = tmp_path / "auth.json"
    path.write_text('{"token":"é"}', encoding="utf-8")
    assert {"token": "é"} == credentials({"auth-file": str(path)})
    monkeypatch.setenv("AREA_AUTH", '{"token":"é"}')
    assert {"token": "é"} == credentials({})
    assert {} == credentials({})  # and what is started from here gets none


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"auth": "hunter2"}, "the credentials are not JSON"),
        ({"auth-file": "/hunter2"}, "--auth-file: cannot be read: No such file or directory"),
    ],
)
def test_credentials_that_cannot_be_read_are_told_without_their_values(
    options: dict[str, str], told: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        credentials(options)
    assert told == str(caught.value)


# The spans


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """What becomes of the workers' spans."""
    recorded = Recorded()
    monkeypatch.setattr(trace, "get_tracer", recorded.provider.get_tracer)
    monkeypatch.setenv("TRACEPARENT", _TRACEPARENT)
    monkeypatch.delenv("TRACESTATE", raising=False)
    return recorded


def _ended(recorded: Recorded, span: AbstractContextManager[Span]) -> ReadableSpan:
    with span:
        pass
    (ended,) = recorded.spans
    return ended


def test_a_part_of_the_launch_is_a_child_of_its_span(recorded: Recorded) -> None:
    span = _ended(recorded, tracing.part_of_launch("mail", "m-1"))
    assert span.context is not None
    assert span.parent is not None
    assert (_TRACE_ID, _SPAN_ID) == (span.context.trace_id, span.parent.span_id)
    assert ("mail", SpanKind.CLIENT, ()) == (span.name, span.kind, tuple(span.links))
    expected = {"supervisor.job.name": "mail", "supervisor.job.identifier": "m-1"}
    assert expected == dict(span.attributes or {})


def test_what_is_linked_to_the_launch_begins_a_trace(recorded: Recorded) -> None:
    with tracing.part_of_launch("other", "o-1"):  # whatever is current
        span = _ended(recorded, tracing.linked_to_launch("timer", "t-1"))
    assert span.context is not None
    assert span.parent is None
    assert _TRACE_ID != span.context.trace_id
    (link,) = span.links
    assert (_TRACE_ID, _SPAN_ID) == (link.context.trace_id, link.context.span_id)


@pytest.mark.parametrize("traceparent", [None, "", "garbage", f"00-{0:032x}-{1:016x}-01"])
def test_without_a_launch_there_is_nothing_to_continue_or_to_link_to(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, traceparent: str | None
) -> None:
    monkeypatch.delenv("TRACEPARENT")
    if traceparent is not None:
        monkeypatch.setenv("TRACEPARENT", traceparent)
    with tracing.part_of_launch("mail", "m-1"), tracing.linked_to_launch("timer", "t-1"):
        pass
    for span in recorded.spans:
        assert span.parent is None
        assert () == tuple(span.links)


@pytest.mark.usefixtures("recorded")
def test_the_vendors_part_of_the_trace_context_goes_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACESTATE", "vendor=value")
    with tracing.part_of_launch("mail", "m-1"):
        assert "vendor=value" == dict(tracing.metadata())["tracestate"]


@pytest.mark.usefixtures("recorded")
def test_the_metadata_are_the_current_spans() -> None:
    assert () == tracing.metadata()
    with tracing.part_of_launch("mail", "m-1") as span:
        span_id = f"{span.get_span_context().span_id:016x}"
        assert (("traceparent", f"00-{_TRACE_ID:032x}-{span_id}-01"),) == tracing.metadata()


# A backend that is away for longer


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    monkeypatch.setattr(callbacks, "_CALL_SECONDS", 0.2)
    with grpc.insecure_channel(f"127.0.0.1:{free_port()}") as channel:
        yield Backend(channel, "x-1")


def test_a_reaction_of_which_nobody_could_be_told_is_a_failure(
    recorded: Recorded, nobody: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == send_message.run(nobody, {"message": "Hello!"})
    assert "the backend cannot be told: DEADLINE_EXCEEDED\n" == capsys.readouterr().err
    (span,) = recorded.spans
    assert StatusCode.ERROR == span.status.status_code
    assert "DEADLINE_EXCEEDED" == (span.attributes or {})["error.type"]


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("work", [seconds_interval.run, send_message.run])
def test_a_worker_that_can_tell_nobody_of_its_error_ends_nevertheless(
    nobody: Backend,
    capsys: pytest.CaptureFixture[str],
    work: Callable[[Backend, Mapping[str, str]], int],
) -> None:
    assert 2 == work(nobody, {})
    error, untold = capsys.readouterr().err.splitlines()
    assert error.endswith(": is missing")
    assert "the backend cannot be told: DEADLINE_EXCEEDED" == untold
