"""The backend is told of a job that has failed: once, with its last lines, without its secrets."""

import json
import signal
import time
from typing import Any

import docker

from scripts import engines
from scripts.ports import free_port
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers, node
from tests.support.backend import Backend, a_backend
from tests.support.collector import Collector
from tests.support.supervised import Supervised, eventually

_SECRET = "hunter2-of-the-crash"


def _sent(supervised: Supervised) -> float:
    return supervised.metric("supervisor_crash_reports_total", outcome="sent")


def _waiting(supervised: Supervised) -> float:
    return supervised.metric("supervisor_crash_reports_waiting")


def test_each_crash_is_told_with_its_reason_and_its_trace(
    start: Start, listening: Backend, collector: Collector
) -> None:
    supervised = start(
        REPORT_CRASHES="true",
        REPORT_CRASHES_TARGET=listening.address,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    auth = {"token": _SECRET}
    said = {"say": f"no city for {_SECRET}", "exit": "3"}
    assert Response() == supervised.launch("timer", "a-1", said, auth)
    call = listening.next_call()
    assert ("OnError", "a-1") == (call.method, call.identifier)
    first, *last_lines = call.content.split("\n")
    assert first.startswith("timer failed on ")
    assert first.endswith(" UTC: it ended with exit code 3.")
    assert "Its last lines:" == last_lines[0]
    assert any(line.startswith("no city for ") for line in last_lines)
    assert _SECRET not in call.content
    # Neither what works nor what is killed is told, nor a run after which it is started again.
    assert Response() == supervised.launch("mail", "b-1", {"exit": "0"})
    assert Response() == supervised.launch("timer", "c-1")
    assert Response() == supervised.kill("c-1")
    assert Response() == supervised.launch("twice", "d-1", {"exit": "5"})
    call = listening.next_call()
    assert "d-1" == call.identifier
    assert "it ended with exit code 5, after 2 restarts" in call.content
    eventually(lambda: _sent(supervised) == 2)
    (told, _) = supervised.events("crash_report.sent")
    assert ("timer", "a-1", "error") == (told["job"], told["identifier"], told["outcome"])
    _, trace_id, span_id, _ = call.traceparent.split("-")
    (span,) = collector.wait_for(trace_id, "area_back.AreaBackService/OnError")
    assert ("CLIENT", span_id) == (span.kind, span.span_id)
    assert ("twice", "d-1") == (
        span.attributes["supervisor.job.name"],
        span.attributes["supervisor.job.identifier"],
    )
    assert 1 == len(span.links)


def test_a_stock_node_server_as_the_real_backend_has_it_is_told(start: Start) -> None:
    with node.running("workers_port.js", {}) as process:
        assert process.stdout is not None
        target = json.loads(process.stdout.readline())
        supervised = start(REPORT_CRASHES="true", REPORT_CRASHES_TARGET=target)
        odd = "github-on-commit-octo/🎉 a b"
        assert Response() == supervised.launch("weather", odd, {"exit": "134"})
        told = json.loads(process.stdout.readline())
        eventually(lambda: _sent(supervised) == 1)
    assert odd == told["identifier"]
    assert "weather failed on " in told["error"]
    assert "it ended with exit code 134" in told["error"]


def test_a_backend_that_comes_back_is_told_once_and_a_stop_does_not_wait_for_it(
    start: Start, docker_client: docker.DockerClient
) -> None:
    port = free_port()
    # On a Swarm, the callback is another host's.
    on_swarm = engines.chosen() == engines.SWARM
    target: dict[str, Any] = {"REPORT_CRASHES_TARGET": f"localhost:{port}"} if on_swarm else {}
    supervised = start(REPORT_CRASHES="true", GRPC_CALLBACK_PORT=str(port), **target)
    assert Response() == supervised.launch("timer", "a-1", {"exit": "3"})
    eventually(lambda: _waiting(supervised) == 1)
    (told,) = eventually(lambda: list(supervised.events("crash_report.delayed")))
    assert f"localhost:{port}" == told["target"]
    # Jobs do not wait for it.
    assert Response() == supervised.launch("timer", "a-1")
    assert Response() == supervised.kill("a-1")
    with a_backend(port) as backend:
        assert "a-1" == backend.next_call().identifier
        eventually(lambda: _sent(supervised) == 1)
        assert 0 == _waiting(supervised)
    # An exit that nobody has seen is told by the next supervisor.
    for mode, identifier in (("adopt", "a-2"), ("remove", "a-3")):
        assert Response() == supervised.launch("timer", identifier)
        supervised.stop(signal.SIGKILL)
        containers.one(docker_client, identifier).kill()
        supervised.start(SUPERVISOR_ON_START=mode)
        eventually(lambda: _waiting(supervised) == 1)
        with a_backend(port) as backend:
            assert identifier == backend.next_call().identifier
            eventually(lambda: _sent(supervised) == 1)
    assert Response() == supervised.launch("timer", "a-4", {"exit": "3"})
    eventually(lambda: _waiting(supervised) == 1)
    begun = time.monotonic()
    assert 0 == supervised.stop()
    assert time.monotonic() - begun < 5
    (dropped,) = supervised.events("crash_report.dropped")
    assert ("a-4", "stop") == (dropped["identifier"], dropped["reason"])
    identifiers = [each["identifier"] for each in supervised.events("crash_report.sent")]
    assert ["a-1", "a-2", "a-3"] == identifiers
