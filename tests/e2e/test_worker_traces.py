"""One trace from the caller through the supervisor and a worker's container to the backend."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from examples import images
from scripts.demo_stage import Caller
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import catalog
from tests.support.backend import Backend, context_of
from tests.support.collector import Collector, collecting, span_of
from tests.support.supervised import Supervised, eventually

# The first test waits for the image: a base from Debian's packages, and an installation.
pytestmark = pytest.mark.timeout(900)

_IMAGE = "supervisor-test-traced-worker"
_ACTION = "timer-seconds-interval"
_REACTION = "console-send-message"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def traced_image(
    docker_client: docker.DockerClient, base: dict[str, str], collector: Collector
) -> str:
    """The example workers, which know where the collector is."""
    arguments = base | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address}
    images.build(docker_client, "examples/worker/Dockerfile", _IMAGE, arguments)
    return _IMAGE


@pytest.fixture
def traced(
    start: Start, tmp_path: Path, traced_image: str, listening: Backend, collector: Collector
) -> Supervised:
    """A supervisor that sends its spans to where its workers do."""
    path = tmp_path / "examples.toml"
    path.write_text(catalog.example(traced_image))
    return start(
        JOB_CATALOG=str(path),
        GRPC_CALLBACK_HOST="127.0.0.1",
        GRPC_CALLBACK_PORT=str(listening.port),
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
        OTEL_BSP_SCHEDULE_DELAY="50",
    )


def test_a_reaction_is_one_trace_from_the_caller_to_the_worker_and_back(
    traced: Supervised, listening: Backend, collector: Collector
) -> None:
    caller = Caller()
    params = {"message": "Hello!"}
    assert Response() == traced.launch(_REACTION, "m-1", params, metadata=caller.metadata)
    call = listening.next_call()
    assert "OnReaction" == call.method
    launch = span_of(collector, caller.trace_id, "LaunchJob")
    work = span_of(collector, caller.trace_id, _REACTION)
    assert caller.span_id == launch.parent_id
    assert launch.span_id == work.parent_id
    assert (caller.trace_id, work.span_id) == context_of(call)
    assert {"create", "start", _REACTION} <= set(collector.children(launch))
    assert ("CLIENT", "UNSET", ()) == (work.kind, work.status, work.links)
    for span in (launch, work):
        assert _REACTION == span.attributes["supervisor.job.name"]
        assert "m-1" == span.attributes["supervisor.job.identifier"]
    assert "area-supervisor" in launch.raw
    assert "example-worker" in work.raw
    eventually(lambda: _hangs_together(collector, caller))


def _hangs_together(collector: Collector, caller: Caller) -> bool:
    """Whether every span of the caller's trace is below the caller's."""
    spans = [span for span in collector.spans() if span.trace_id == caller.trace_id]
    return {span.parent_id for span in spans} <= {caller.span_id} | {s.span_id for s in spans}


def test_each_callback_of_an_action_is_a_trace_of_its_own_that_is_linked_to_the_launch(
    traced: Supervised, listening: Backend, collector: Collector
) -> None:
    caller = Caller()
    params = {"seconds": 0.2}
    assert Response() == traced.launch(_ACTION, "t-1", params, metadata=caller.metadata)
    contexts = [context_of(listening.next_call()) for _ in range(2)]
    assert Response() == traced.kill("t-1")  # what has not been sent yet is sent at the end
    launch = span_of(collector, caller.trace_id, "LaunchJob")
    assert caller.span_id == launch.parent_id
    assert 3 == len({trace_id for trace_id, _ in contexts} | {caller.trace_id})
    for trace_id, span_id in contexts:
        work = span_of(collector, trace_id, _ACTION)
        assert (span_id, "") == (work.span_id, work.parent_id)
        assert (f"{launch.trace_id}:{launch.span_id}",) == work.links
        assert "t-1" == work.attributes["supervisor.job.identifier"]
    assert _ACTION not in collector.children(launch)


def test_a_reaction_that_fails_is_an_error_in_the_launchs_trace(
    traced: Supervised, listening: Backend, collector: Collector
) -> None:
    caller = Caller()
    assert Response() == traced.launch(_REACTION, "m-1", metadata=caller.metadata)
    call = listening.next_call()
    assert "OnError" == call.method
    work = span_of(collector, caller.trace_id, _REACTION)
    assert (caller.trace_id, work.span_id) == context_of(call)
    assert ("ERROR", "ArgumentError") == (work.status, work.attributes["error.type"])
    assert span_of(collector, caller.trace_id, "LaunchJob").span_id == work.parent_id


def test_an_action_that_fails_is_an_error_in_a_trace_of_its_own(
    traced: Supervised, listening: Backend, collector: Collector
) -> None:
    caller = Caller()
    params = {"seconds": "soon"}
    assert Response() == traced.launch(_ACTION, "t-1", params, metadata=caller.metadata)
    call = listening.next_call()
    assert "OnError" == call.method
    trace_id, span_id = context_of(call)
    launch = span_of(collector, caller.trace_id, "LaunchJob")
    work = span_of(collector, trace_id, _ACTION)
    assert (span_id, "", "ERROR") == (work.span_id, work.parent_id, work.status)
    assert (f"{launch.trace_id}:{launch.span_id}",) == work.links
    assert caller.trace_id != trace_id
