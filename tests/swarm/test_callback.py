"""Real workers on the worker nodes of a Swarm, and the backend that they call back.

They find it as workers of a user's Swarm do: under an address that each node reaches, or on a
network of the Swarm under the name that `examples/swarm/stack.yml` takes.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import docker
import pytest

from examples.backend import Call
from scripts.demo_stage import Caller
from service._generated.area_types_pb2 import Response
from service._generated.supervisor.v1.observer_pb2 import Job, ListJobsRequest
from tests.support import catalog
from tests.support.backend import Backend, context_of
from tests.support.collector import Collector, span_of
from tests.support.door import a_door
from tests.support.stack import BACKEND, NETWORK, a_container
from tests.support.supervised import Supervised, eventually
from tests.support.swarm import Swarm, wait_for
from tests.swarm.two import runs_on

# The first test waits for the image: a base from Debian's packages, and an installation.
pytestmark = pytest.mark.timeout(900)

_ACTION, _REACTION = "timer-seconds-interval", "console-send-message"
_BACKENDS_PORT, _COLLECTORS_PORT = 50050, 4317
_DEFAULTS = """\
[defaults]
placement = ["node.role==worker"]
environment = {{ OTEL_EXPORTER_OTLP_ENDPOINT = "http://{host}:{port}" }}
"""


@pytest.fixture(scope="module")
def image(docker_client: docker.DockerClient, worker_image: str, swarm_of_three: Swarm) -> str:
    """The example workers, on both worker nodes."""
    for node in swarm_of_three.workers:
        node.load(docker_client, worker_image)
    return worker_image


@pytest.fixture(scope="module")
def overlay(swarm_of_three: Swarm) -> Iterator[str]:
    """A network of the Swarm; its name."""
    with swarm_of_three.manager.client() as client:
        made = client.networks.create(NETWORK, driver="overlay", attachable=True)

        def remove() -> bool:
            made.remove()
            return True

        yield NETWORK
        wait_for(remove, "the network is removed")


@pytest.fixture(params=["host", "overlay"])
def network(request: pytest.FixtureRequest, overlay: str, swarm_of_three: Swarm) -> Iterator[str]:
    """The network that jobs are on; nothing runs in the Swarm afterwards."""
    yield overlay if request.param == "overlay" else "host"
    swarm_of_three.clear()


@pytest.fixture
def host(
    network: str, swarm_of_three: Swarm, listening: Backend, collector: Collector
) -> Iterator[str]:
    """Where jobs find the backend and the collector, in whatever network they are."""
    manager = swarm_of_three.manager
    found, pid = manager.machine.address, manager.machine.pid
    with ExitStack() as stack:
        if network != "host":
            container = stack.enter_context(a_container(manager, "sleep", "3600", name=BACKEND))
            found, pid = BACKEND, container.attrs["State"]["Pid"]
        stack.enter_context(a_door(pid, _BACKENDS_PORT, listening.port))
        stack.enter_context(a_door(pid, _COLLECTORS_PORT, collector.port))
        yield found


@pytest.fixture
def settings(
    host: str, network: str, swarm_of_three: Swarm, listening: Backend, collector: Collector
) -> Mapping[str, str]:
    """Those of a supervisor at the manager."""
    return {
        "DOCKER_HOST": swarm_of_three.manager.host,
        "SUPERVISOR_ENGINE": "swarm",
        "JOB_NETWORK": network,
        "GRPC_CALLBACK_HOST": host,
        "GRPC_CALLBACK_PORT": str(_BACKENDS_PORT),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "REPORT_CRASHES": "true",
        "REPORT_CRASHES_TARGET": listening.address,
    }


@pytest.fixture
def supervised(
    settings: Mapping[str, str], host: str, image: str, tmp_path: Path
) -> Iterator[Supervised]:
    """A supervisor whose jobs run on the two other machines."""
    path = tmp_path / "catalog.toml"
    defaults = _DEFAULTS.format(host=host, port=_COLLECTORS_PORT)
    path.write_text(catalog.example(image).replace("[defaults]\n", defaults))
    with Supervised(tmp_path, {**settings, "JOB_CATALOG": str(path)}) as running:
        yield running


def _launch(
    supervised: Supervised, job: str, identifier: str, caller: Caller, **params: object
) -> None:
    auth = {"accessToken": "a-token-that-only-the-worker-gets"}
    wanted = {"workflowStepId": "step-1"} | params
    answer = supervised.launch(job, identifier, wanted, auth, metadata=caller.metadata)
    assert Response() == answer


def _ended(supervised: Supervised) -> Job:
    """The only job that has ended, once it has."""
    found = supervised.observer.ListJobs
    (job,) = eventually(lambda: found(ListJobsRequest(include="ended"), timeout=10).jobs)
    return job


def test_actions_on_every_worker_node_call_the_backend_back_until_they_are_killed(
    supervised: Supervised, listening: Backend, collector: Collector, swarm_of_three: Swarm
) -> None:
    caller = Caller()
    calls: dict[str, list[Call]] = {"first": [], "second/with a space": []}
    for identifier in calls:
        _launch(supervised, _ACTION, identifier, caller, seconds=0.2)
    places = {job: each.machine.name for each in swarm_of_three.nodes for job in runs_on(each)}
    assert {"node-2", "node-3"} == set(places.values())
    live = supervised.observer.ListJobs(ListJobsRequest(), timeout=10).jobs
    assert places == {job.identifier: job.node for job in live}
    while min(map(len, calls.values())) < 3:
        call = listening.next_call()
        assert "OnAction" == call.method
        calls[call.identifier].append(call)
    firsts = [told[:3] for told in calls.values()]
    assert [[1, 2, 3]] * 2 == [[json.loads(each.content)["count"] for each in t] for t in firsts]
    spans = [span_of(collector, context_of(each)[0], _ACTION) for t in firsts for each in t]
    launches = [span for span in collector.spans() if span.parent_id == caller.span_id]
    linked = {f"{launch.trace_id}:{launch.span_id}" for launch in launches}
    assert (2, linked) == (len(linked), {link for span in spans for link in span.links})
    for identifier in calls:
        assert Response() == supervised.kill(identifier)
    assert listening.is_quiet(seconds=2)
    eventually(supervised.is_idle)


def test_a_reaction_on_a_worker_node_is_in_its_launchs_trace_and_so_is_what_it_calls(
    supervised: Supervised, listening: Backend, collector: Collector
) -> None:
    caller = Caller()
    _launch(supervised, _REACTION, "m-1", caller, message="Hello!")
    call = listening.next_call()
    assert ("OnReaction", "m-1") == (call.method, call.identifier)
    assert {"characters": 6} == json.loads(call.content)
    launch = span_of(collector, caller.trace_id, "LaunchJob")
    work = span_of(collector, caller.trace_id, _REACTION)
    assert caller.span_id == launch.parent_id
    assert launch.span_id == work.parent_id
    assert "example-worker" in work.raw
    assert (caller.trace_id, work.span_id) == context_of(call)
    job = _ended(supervised)
    assert ("m-1", "success", caller.trace_id) == (job.identifier, job.outcome, job.trace_id)
    assert job.node in ("node-2", "node-3")


def test_a_worker_that_fails_is_told_with_its_node_and_its_last_words(
    supervised: Supervised, listening: Backend, collector: Collector
) -> None:
    caller = Caller()
    _launch(supervised, _ACTION, "t-1", caller, seconds="soon")
    said = "--seconds: has to be a number above 0, and at most a year"
    call = listening.next_call()
    assert ("OnError", "t-1", said) == (call.method, call.identifier, call.content)
    assert "ERROR" == span_of(collector, context_of(call)[0], _ACTION).status
    report = listening.next_call()
    assert ("OnError", "t-1") == (report.method, report.identifier)
    assert "it ended with exit code 2." in report.content
    assert f"error: {said}" == report.content.splitlines()[-1]
    job = _ended(supervised)
    assert ("t-1", "error", 2) == (job.identifier, job.outcome, job.exit_code)
    assert f"error: {said}" == job.last_lines.splitlines()[-1]
    assert job.node in ("node-2", "node-3")
    (exited,) = supervised.events("job.exited")
    assert (job.node, job.last_lines.splitlines()) == (exited["node"], exited["output"])
