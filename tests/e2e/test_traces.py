"""Traces, as a collector gets them; and that no collector, or a broken one, harms nothing."""

import json
import re
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import grpc
import pytest

from scripts.private_engine import PrivateEngine
from service._generated.area_supervisor_pb2 import JobId
from service._generated.area_types_pb2 import Response
from service._generated.supervisor.v1.observer_pb2 import GetJobRequest
from tests.conftest import Start
from tests.support import containers, worker
from tests.support.agreement import await_fall
from tests.support.collector import Collector, Seen, collecting, taking_http
from tests.support.supervised import Supervised, eventually

_SERVICE = "area_supervisor.AreaSupervisorService"
_TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
_CALLER = "b7ad6b7169203331"
_TRACEPARENT = f"00-{_TRACE_ID}-{_CALLER}-01"
_METADATA = (("traceparent", _TRACEPARENT),)


@pytest.fixture
def traced(start: Start, collector: Collector) -> Supervised:
    """A supervisor that exports its spans soon."""
    return start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, OTEL_BSP_SCHEDULE_DELAY="50")


def _rpc(collector: Collector, method: str) -> Seen:
    """The one span of a call, once it has arrived."""
    (span,) = eventually(lambda: collector.spans(f"/{_SERVICE}/{method}"))
    return span


def _calls(collector: Collector, span: Seen) -> list[str]:
    """Its calls to the Engine, without the wait for one that a busy machine has made seem away."""
    return [each for each in collector.children(span) if each != "wait for engine"]


def test_a_launch_is_a_trace_that_continues_the_callers(
    traced: Supervised, collector: Collector, docker_client: docker.DockerClient
) -> None:
    assert Response() == traced.launch("timer", "t-1", metadata=_METADATA)
    call = _rpc(collector, "LaunchJob")
    assert (_TRACE_ID, _CALLER, "SERVER") == (call.trace_id, call.parent_id, call.kind)
    assert "ERROR" != call.status
    assert "t-1" == call.attributes["supervisor.job.identifier"]
    assert "timer" == call.attributes["supervisor.job.name"]
    assert "launched" == call.attributes["supervisor.launch.outcome"]
    created, started, *looks = _calls(collector, call)
    assert ["create", "start"] == [created, started]
    assert {"top"} <= set(looks) <= {"top", "inspect"}  # the first launch of its image
    container = containers.one(docker_client, "t-1")
    about = {
        "container.runtime.name": "docker",
        "container.image.name": worker.IMAGE,
        "container.name": "t-1",
        "container.id": str(container.id),
    }
    for name in ("create", "start"):
        (span,) = collector.spans(name)
        assert (_TRACE_ID, "CLIENT", "UNSET") == (span.trace_id, span.kind, span.status)
        assert about == span.attributes
    environment = containers.environment(container)
    version, trace_id, parent_id, flags = environment["TRACEPARENT"].split("-")
    assert ("00", _TRACE_ID, call.span_id, "01") == (version, trace_id, parent_id, flags)
    assert (
        environment["TRACEPARENT"]
        == (containers.one(docker_client, "t-1").labels["area.supervisor.traceparent"])
    )


def test_without_a_caller_a_launch_begins_a_trace(
    traced: Supervised, collector: Collector, docker_client: docker.DockerClient
) -> None:
    assert Response() == traced.launch("timer", "t-1")
    call = _rpc(collector, "LaunchJob")
    assert "" == call.parent_id
    environment = containers.environment(containers.one(docker_client, "t-1"))
    assert call.trace_id in environment["TRACEPARENT"]


def test_a_kill_is_a_trace_with_a_span_for_each_call_to_the_engine(
    traced: Supervised, collector: Collector
) -> None:
    assert Response() == traced.launch("timer", "t-1")
    job_id = JobId(identifier="t-1")
    assert Response() == traced.stub.KillJob(job_id, timeout=30, metadata=_METADATA)
    call = _rpc(collector, "KillJob")
    assert (_TRACE_ID, _CALLER, "SERVER") == (call.trace_id, call.parent_id, call.kind)
    assert ["stop", "remove"] == _calls(collector, call)
    assert "ERROR" != call.status


def test_a_question_about_a_job_is_a_trace_that_continues_the_callers(
    traced: Supervised, collector: Collector
) -> None:
    request = GetJobRequest(identifier="t-1")
    assert Response() == traced.launch("timer", "t-1")
    assert "t-1" == traced.observer.GetJob(request, timeout=9, metadata=_METADATA).identifier
    (call,) = eventually(lambda: collector.spans("/supervisor.v1.JobObserver/GetJob"))
    assert (_TRACE_ID, _CALLER, "SERVER") == (call.trace_id, call.parent_id, call.kind)
    assert ["inspect"] == _calls(collector, call)
    assert "t-1" == call.attributes["supervisor.job.identifier"]


def test_the_life_of_a_job_is_a_trace_linked_to_its_launch(
    traced: Supervised, collector: Collector, docker_client: docker.DockerClient
) -> None:
    assert Response() == traced.launch("timer", "t-1")
    launch = _rpc(collector, "LaunchJob")
    container = containers.one(docker_client, "t-1")
    container.exec_run(["/bin/busybox", "kill", "-9", "-1"])
    (life,) = eventually(lambda: collector.spans("job"))
    assert life.trace_id != launch.trace_id
    assert (("", "ERROR"), _link(launch)) == ((life.parent_id, life.status), *life.links)
    assert {
        "supervisor.job.name": "timer",
        "supervisor.job.identifier": "t-1",
        "supervisor.job.kind": "action",
        "supervisor.job.launch_id": container.labels["area.supervisor.launch-id"],
        "supervisor.job.outcome": "error",
        "supervisor.job.exit_code": "137",
        "container.id": str(container.id),
        "error.type": "error",
    } == life.attributes
    assert life.begun > launch.begun
    (exited,) = traced.events("job.exited")
    assert (life.trace_id, life.span_id) == (exited["trace_id"], exited["span_id"])


def test_the_life_of_a_job_that_went_well_is_no_error(
    traced: Supervised, collector: Collector
) -> None:
    assert Response() == traced.launch("mail", "m-1", {"exit": 0})
    (life,) = eventually(lambda: collector.spans("job"))
    assert ("UNSET", "success") == (life.status, life.attributes["supervisor.job.outcome"])


def test_the_life_of_a_job_that_was_killed_is_linked_to_the_kill(
    traced: Supervised, collector: Collector
) -> None:
    assert Response() == traced.launch("timer", "t-1")
    assert Response() == traced.kill("t-1")
    (life,) = eventually(lambda: collector.spans("job"))
    calls = (_rpc(collector, "LaunchJob"), _rpc(collector, "KillJob"))
    assert tuple(map(_link, calls)) == life.links
    assert ("UNSET", "killed") == (life.status, life.attributes["supervisor.job.outcome"])


def _link(span: Seen) -> str:
    return f"{span.trace_id}:{span.span_id}"


def test_what_a_launch_waits_for_is_told(
    traced: Supervised, collector: Collector, engine: PrivateEngine
) -> None:
    """For the launch of its identifier that came first, or for one of the slots."""
    others = [f"t-{number}" for number in range(2, 12)]
    with ThreadPoolExecutor(12) as pool:
        engine.freeze()
        try:
            first = pool.submit(traced.launch, "timer", "t-1", metadata=_METADATA)
            eventually(lambda: traced.running() == ["t-1"])
            rest = [pool.submit(traced.launch, "timer", each) for each in ["t-1", *others]]
            eventually(lambda: len(traced.running()) == 1 + len(others))
            eventually(lambda: traced.calls("LaunchJob") == 12)
        finally:
            engine.thaw()
        assert [Response()] * 12 == [launch.result() for launch in (first, *rest)]
    (waited,) = eventually(lambda: collector.spans("wait for launch"))
    calls = eventually(lambda: _when(12, collector.spans(f"/{_SERVICE}/LaunchJob")))
    (launch,) = [call for call in calls if call.trace_id == _TRACE_ID]
    (dedup,) = [call for call in calls if call.span_id == waited.parent_id]
    assert (_link(launch),) == waited.links
    assert "dedup" == dedup.attributes["supervisor.launch.outcome"]
    launched = {call.span_id for call in calls} - {dedup.span_id}
    assert launched > {wait.parent_id for wait in collector.spans("wait for slot")} > set()


def test_a_dedup_tells_where_it_was_asked_for_in_other_words(
    traced: Supervised, collector: Collector
) -> None:
    for city in ("Paris", "Paris", "Rome"):
        assert Response() == traced.launch("timer", "t-1", {"city": city})
    calls = eventually(lambda: _when(3, collector.spans(f"/{_SERVICE}/LaunchJob")))
    told = Counter(
        (
            call.attributes["supervisor.launch.outcome"],
            call.attributes.get("supervisor.launch.differs"),
        )
        for call in calls
    )
    assert {("launched", None): 1, ("dedup", None): 1, ("dedup", "True"): 1} == told
    named = [call.attributes.get("supervisor.launch.differing", "") for call in calls]
    assert ["params.city"] == re.findall(r"[a-z.]+\.city", " ".join(named))


def test_a_wait_for_the_engine_and_for_an_earlier_container_is_told(
    traced: Supervised, collector: Collector, engine: PrivateEngine
) -> None:
    with ThreadPoolExecutor(2) as pool:
        engine.freeze()
        try:
            await_fall(traced)
            first = pool.submit(traced.launch, "timer", "t-1", {"stubborn": 1}, metadata=_METADATA)
            eventually(lambda: traced.running() == ["t-1"])
            time.sleep(0.1)
        finally:
            engine.thaw()
        assert Response() == first.result()
        kill = pool.submit(traced.kill, "t-1")
        eventually(lambda: ["stopping"] == [job.status for job in traced.jobs()])
        again = pool.submit(traced.launch, "timer", "t-1")
        assert [Response()] * 2 == [kill.result(), again.result()]
    calls = eventually(lambda: _when(2, collector.spans(f"/{_SERVICE}/LaunchJob")))
    before, after = sorted(calls, key=lambda call: call.trace_id != _TRACE_ID)
    (for_engine,) = collector.spans("wait for engine")
    (for_earlier,) = collector.spans("wait for earlier container")
    assert before.span_id == for_engine.parent_id
    assert (after.span_id, (_link(before),)) == (for_earlier.parent_id, for_earlier.links)


def _when(count: int, spans: list[Seen]) -> list[Seen]:
    return spans if len(spans) == count else []


def test_a_call_that_takes_longer_than_its_client_waits_is_an_error(
    traced: Supervised, collector: Collector, engine: PrivateEngine
) -> None:
    engine.freeze()
    try:
        with pytest.raises(grpc.RpcError):
            traced.launch("timer", "t-1", timeout=1)
    finally:
        engine.thaw()
    call = _rpc(collector, "LaunchJob")
    assert ("ERROR", "DEADLINE_EXCEEDED") == (call.status, call.attributes["error.type"])
    eventually(lambda: traced.running() == ["t-1"])


def test_a_request_that_cannot_be_read_is_an_error(
    traced: Supervised, collector: Collector
) -> None:
    raw: Any = traced.channel.unary_unary(f"/{_SERVICE}/LaunchJob")
    with pytest.raises(grpc.RpcError):
        raw(b"\xff\xff", timeout=10)
    call = _rpc(collector, "LaunchJob")
    assert ("ERROR", "INVALID_ARGUMENT") == (call.status, call.attributes["error.type"])


def test_a_kill_of_everything_is_one_trace(traced: Supervised, collector: Collector) -> None:
    for number in range(3):
        assert Response() == traced.launch("timer", f"t-{number}")
    assert Response() == traced.kill_all()
    children = _calls(collector, _rpc(collector, "KillAllJobs"))
    assert ["remove"] * 3 + ["stop"] * 3 == sorted(children)


@pytest.mark.parametrize(
    ("launched", "error_type"),
    [
        (("unknown", "u-1"), "unknown_job"),
        (("timer", ""), "invalid"),
        (("missing", "m-1"), "image_missing"),
        (("timer", "taken"), "name_taken"),
    ],
)
def test_an_error_in_the_answer_marks_the_span_as_an_error(
    traced: Supervised,
    collector: Collector,
    docker_client: docker.DockerClient,
    launched: tuple[str, str],
    error_type: str,
) -> None:
    containers.stranger(docker_client, "taken")
    assert traced.launch(*launched).HasField("error")
    call = _rpc(collector, "LaunchJob")
    assert ("ERROR", error_type) == (call.status, call.attributes["error.type"])


def test_a_failed_call_to_the_engine_marks_its_own_span(
    traced: Supervised, collector: Collector
) -> None:
    assert 422 == traced.launch("missing", "m-1").error.code
    call = _rpc(collector, "LaunchJob")
    (create,) = collector.spans("create")
    assert (call.span_id, "ERROR") == (create.parent_id, create.status)
    assert "image_missing" == create.attributes["error.type"]


def test_health_and_reflection_are_no_traces(traced: Supervised, collector: Collector) -> None:
    assert "SERVING" == traced.health()
    assert 0 == traced.stop()
    assert [] == collector.spans()


def test_the_last_spans_are_sent_before_the_end(start: Start, collector: Collector) -> None:
    traced = start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, OTEL_BSP_SCHEDULE_DELAY="60000")
    assert Response() == traced.launch("timer", "t-1")
    assert [] == collector.spans()
    assert 0 == traced.stop()
    assert ["create", "start"] == _calls(collector, _rpc(collector, "LaunchJob"))[:2]


def test_the_standard_variables_name_the_service(start: Start, collector: Collector) -> None:
    traced = start(
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
        OTEL_SERVICE_NAME="our-supervisor",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test",
    )
    assert Response() == traced.launch("nothing", "n-1")
    assert 0 == traced.stop()
    raw = _rpc(collector, "LaunchJob").raw
    assert "our-supervisor" in raw
    assert "deployment.environment" in raw


def test_logs_and_exemplars_carry_the_trace(traced: Supervised) -> None:
    assert Response() == traced.launch("timer", "t-1", metadata=_METADATA)
    (launched,) = traced.events("job.launched")
    assert _TRACE_ID == launched["trace_id"]


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},  # nobody listens there
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://no.such.host.invalid:4317"},
        {"OTEL_TRACES_SAMPLER": "always_off"},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "console"},
    ],
    ids=str,
)
def test_a_broken_collector_harms_nothing(start: Start, variables: dict[str, str]) -> None:
    supervised = start(ready=True, **variables)
    assert Response() == supervised.launch("timer", "t-1")
    assert Response() == supervised.kill("t-1")
    began = time.monotonic()
    assert 0 == supervised.stop()
    assert time.monotonic() - began < 15
    assert "Traceback" not in supervised.log()


def _traced_launch(start: Start, collector: Collector, variables: dict[str, str]) -> Supervised:
    """One that has launched something, and has ended, and whose trace has arrived."""
    supervised = start(ready=True, OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, **variables)
    assert Response() == supervised.launch("timer", "t-1", metadata=_METADATA)
    assert 0 == supervised.stop()
    assert _TRACE_ID == _rpc(collector, "LaunchJob").trace_id
    return supervised


_NOT_THERE = {
    "OTEL_EXPORTER_OTLP_TIMEOUT": "soon",
    "OTEL_RESOURCE_ATTRIBUTES": "garbage",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "zip",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "/does/not/exist",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100000",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many",
    "OTEL_PROPAGATORS": "tracecontext,baggage,b3",
    "OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider",
    "OTEL_EXPORTER_OTLP_HEADERS": "x=y,trace-bin=s3cret",
    "OTEL_SDK_DISABLED": "1",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http",
}


@pytest.mark.parametrize(
    ("variables", "corrected"),
    [
        (_NOT_THERE, set(_NOT_THERE)),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "256"}, {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE"}),
    ],
    ids=["many", "a small queue"],
)
def test_what_a_standard_variable_asks_for_and_is_not_there_is_told_and_harms_no_trace(
    start: Start, collector: Collector, variables: dict[str, str], corrected: set[str]
) -> None:
    supervised = _traced_launch(start, collector, variables)
    told = list(supervised.events("setting.corrected"))
    assert sorted(corrected) == sorted(event["variable"] for event in told)
    assert {"warning"} == {event["level"] for event in told}
    assert told == [line for line in map(json.loads, supervised.lines()) if _is_bad(line)]
    assert "s3cret" not in supervised.log()


def _is_bad(line: dict[str, Any]) -> bool:
    """Whether it complains of more than what the tests' setup is."""
    of_the_setup = line["event"] in ("security.open", "surroundings.noticed")
    return line["level"] not in ("debug", "info") and not of_the_setup


@pytest.mark.parametrize(
    "variables",
    [
        {
            "OTEL_TRACES_SAMPLER": "traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "1e0",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_EXPORTER_OTLP_INSECURE": "false",
            "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process,os,*",
        },
        {"OTEL_TRACES_SAMPLER": "traceidratio"},
    ],
    ids=["many", "a ratio by default"],
)
def test_what_a_standard_variable_asks_for_and_is_there_needs_no_word(
    start: Start, collector: Collector, variables: dict[str, str]
) -> None:
    supervised = _traced_launch(start, collector, variables)
    assert [] == [line for line in map(json.loads, supervised.lines()) if _is_bad(line)]


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_over_http_an_address_without_a_scheme_reaches_its_collector(
    start: Start, collector: Collector, protocol: str
) -> None:
    with taking_http(collector) as address:
        supervised = start(
            OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_EXPORTER_OTLP_PROTOCOL=protocol
        )
        assert Response() == supervised.launch("timer", "t-1", metadata=_METADATA)
        assert 0 == supervised.stop()
    assert _TRACE_ID == _rpc(collector, "LaunchJob").trace_id
    told = {event["variable"]: event for event in supervised.events("setting.corrected")}
    assert f"http://{address}" == told["OTEL_EXPORTER_OTLP_ENDPOINT"]["used"]


@pytest.mark.parametrize("timeout", ["", "10000"])  # by the specification it is milliseconds
def test_a_collector_that_never_answers_does_not_hold_up_the_end(
    start: Start, timeout: str
) -> None:
    with collecting(hangs=True) as collector:
        supervised = start(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, OTEL_EXPORTER_OTLP_TIMEOUT=timeout
        )
        assert Response() == supervised.launch("timer", "t-1")
        with ThreadPoolExecutor(16) as pool:  # more than three batches of spans
            list(pool.map(lambda _: supervised.launch("timer", "t-1"), range(2000)))
        began = time.monotonic()
        assert 0 == supervised.stop(within=60)
        assert time.monotonic() - began < 15


def test_a_port_that_accepts_and_says_nothing_does_not_hold_up_the_end(
    start: Start,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        supervised = start(OTEL_EXPORTER_OTLP_ENDPOINT=address)
        assert Response() == supervised.launch("timer", "t-1")
        began = time.monotonic()
        assert 0 == supervised.stop(within=60)
        assert time.monotonic() - began < 15


def test_a_launch_after_an_engine_error_keeps_its_trace(
    traced: Supervised, collector: Collector
) -> None:
    assert 422 == traced.launch("missing", "m-1", metadata=_METADATA).error.code
    assert _TRACE_ID == _rpc(collector, "LaunchJob").trace_id
    failed = next(traced.events("request.failed"))
    assert _TRACE_ID == failed["trace_id"]
