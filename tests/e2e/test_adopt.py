"""A supervisor that starts anew: it takes over what runs, and its worker misses no beat."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from examples.backend import Call
from scripts.otlp_receiver import Span
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import catalog, containers, worker
from tests.support.agreement import agree, exits
from tests.support.backend import Backend
from tests.support.collector import Collector, collecting
from tests.support.supervised import Supervised, eventually, refusal

# One test waits for the workers' image: a base from Debian's packages, and an installation.
pytestmark = pytest.mark.timeout(900)

_SIGNALS = [signal.SIGTERM, signal.SIGKILL]
_ON_START = ["remove", "adopt"]
_JOB = "timer-seconds-interval"


@pytest.fixture
def adopting(start: Start) -> Supervised:
    """A supervisor in production that adopts."""
    return start(SUPERVISOR_ON_START="adopt")


def _begin_anew(supervised: Supervised, number: signal.Signals) -> None:
    supervised.stop(number)
    supervised.start()


def _ids(client: docker.DockerClient) -> list[str]:
    return [str(container.id) for container in containers.of_ours(client)]


# ---------------------------------------------------------------- what runs


@pytest.mark.parametrize("number", _SIGNALS)
def test_what_runs_is_taken_over_and_is_a_job_like_any_other(
    adopting: Supervised, docker_client: docker.DockerClient, number: signal.Signals
) -> None:
    for job in [("timer", "t-1"), ("timer", "t-2"), ("webhook", "w-1"), *[("mail", "m-1")] * 2]:
        assert Response() == adopting.launch(*job)
    containers.one(docker_client, "t-2").pause()
    before, listed = _ids(docker_client), adopting.running()
    _begin_anew(adopting, number)
    assert listed == adopting.running() == ["m-1", "m-1", "t-1", "t-2", "w-1"]
    assert before == _ids(docker_client)
    assert 5 == adopting.metric("supervisor_adoptions_total")
    assert 5 == adopting.metric("supervisor_jobs_running")
    assert 0 == adopting.metric("supervisor_launches_total")
    assert Response() == adopting.launch("timer", "t-1")
    assert 1 == adopting.metric("supervisor_dedups_total", job_name="timer")
    assert before == _ids(docker_client)
    assert Response() == adopting.kill("m-1")
    containers.one(docker_client, "w-1").kill()
    agree(adopting, docker_client, "t-1", "t-2")
    assert {"killed": 2, "error": 1} == exits(adopting)
    assert Response() == adopting.kill_all()
    agree(adopting, docker_client)


def test_the_life_of_a_job_is_linked_to_its_launch_by_the_process_before(
    start: Start, docker_client: docker.DockerClient
) -> None:
    with collecting() as collector:
        traced = start(
            SUPERVISOR_ON_START="adopt",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
            OTEL_BSP_SCHEDULE_DELAY="50",
        )
        assert Response() == traced.launch("timer", "t-1")
        launch = _span(collector, "LaunchJob")
        container = containers.one(docker_client, "t-1")
        _begin_anew(traced, signal.SIGKILL)
        assert Response() == traced.kill("t-1")
        kill, life = _span(collector, "KillJob"), _span(collector, "job")
        assert (_link(launch), _link(kill)) == life.links
        assert "killed" == life.attributes["supervisor.job.outcome"]
        assert str(container.id) == life.attributes["container.id"]
        # Its life began when its container did, and not when it was taken over.
        assert abs(_started_at(container) - life.begun / 1e9) < 0.001


def _span(collector: Collector, name: str) -> Span:
    """The one span whose name ends so, once it has arrived."""
    (span,) = eventually(lambda: [s for s in collector.spans() if s.name.endswith(name)])
    return span


def _link(span: Span) -> str:
    return f"{span.trace_id}:{span.span_id}"


def _started_at(container: Container) -> float:
    return datetime.fromisoformat(container.attrs["State"]["StartedAt"]).timestamp()


def test_an_upgrade_costs_the_worker_no_beat(
    start: Start,
    tmp_path: Path,
    worker_image: str,
    listening: Backend,
    docker_client: docker.DockerClient,
) -> None:
    path = tmp_path / "examples.toml"
    path.write_text(catalog.example(worker_image))
    supervised = start(
        SUPERVISOR_ON_START="adopt",
        JOB_CATALOG=str(path),
        GRPC_CALLBACK_HOST="127.0.0.1",
        GRPC_CALLBACK_PORT=str(listening.port),
    )
    assert Response() == supervised.launch(_JOB, "every-second", {"seconds": 1})
    beats = [_beat(listening.next_call()) for _ in range(2)]
    container = containers.one(docker_client, "every-second")
    assert 0 == supervised.stop()
    beats.append(_beat(listening.next_call()))  # with no supervisor at all
    supervised.start()
    assert ["every-second"] == supervised.running()
    beats += [_beat(listening.next_call()) for _ in range(2)]
    assert [1, 2, 3, 4, 5] == beats
    assert container.attrs["State"] == containers.one(docker_client, "every-second").attrs["State"]
    assert Response() == supervised.kill("every-second")
    assert listening.is_quiet(seconds=2)


def _beat(call: Call) -> int:
    assert ("OnAction", "every-second") == (call.method, call.identifier)
    return int(json.loads(call.content)["count"])


# ---------------------------------------------------------------- what does not


def test_an_end_that_came_while_no_supervisor_ran_is_told_and_removed(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    for job in (("timer", "runs"), ("timer", "dies"), ("webhook", "ends"), ("mail", "sends")):
        assert Response() == adopting.launch(*job)
    assert 0 == adopting.stop()
    _let_end(containers.one(docker_client, "dies"), 9)
    _let_end(containers.one(docker_client, "ends"), 15)
    containers.one(docker_client, "sends").remove(force=True)
    adopting.start()
    agree(adopting, docker_client, "runs")
    told = {event["identifier"]: event for event in adopting.events("job.exited")}
    assert {"dies": ("lost", 137), "ends": ("lost", 143)} == {
        identifier: (event["outcome"], event["exit_code"]) for identifier, event in told.items()
    }
    assert "argument: dies" in told["dies"]["output"]
    assert {"lost": 2} == exits(adopting)
    assert Response() == adopting.launch("timer", "dies")
    agree(adopting, docker_client, "dies", "runs")


def test_a_success_that_came_while_no_supervisor_ran_is_one(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    assert 0 == adopting.stop()
    labels = containers.labels_of_another("default", "hook") | {f"{containers.PREFIX}ends": "true"}
    ended = docker_client.containers.create(
        worker.IMAGE, ["--exit", "0"], name="hook", labels=labels, network_mode="host", init=True
    )
    ended.start()
    ended.wait()
    adopting.start()
    agree(adopting, docker_client)
    assert {"success": 1} == exits(adopting)


def test_development_takes_over_what_runs_and_keeps_what_has_exited(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(SUPERVISOR_ON_START="adopt", GO_ENV="development", ORPHAN_GRACE_SECONDS="0")
    assert Response() == supervised.launch("timer", "exited", {"exit": 1})
    eventually(lambda: [] == supervised.running())
    assert Response() == supervised.launch("timer", "runs")
    assert Response() == supervised.launch("timer", "dies")
    assert 0 == supervised.stop()
    _let_end(containers.one(docker_client, "dies"), 9)
    supervised.start()
    assert ["runs"] == supervised.running()
    assert 3 == len(containers.everything(docker_client))
    assert Response() == supervised.launch("timer", "dies")
    assert ["dies", "runs"] == supervised.running() == containers.live(docker_client)
    assert 4 == len(containers.everything(docker_client))


def _let_end(container: Container, number: int) -> None:
    container.kill(number)
    container.wait()


def test_what_was_half_created_makes_way(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    adopting.stop(signal.SIGKILL)
    for identifier in ("t-1", "t-2"):
        docker_client.containers.create(
            worker.IMAGE,
            name=identifier,
            labels=containers.labels_of_another("default", identifier),
        )
    adopting.start()
    assert [] == adopting.running()
    assert Response() == adopting.launch("timer", "t-1")
    assert "running" == containers.one(docker_client, "t-1").status
    assert "created" == containers.one(docker_client, "t-2").status  # it has a grace


@pytest.mark.parametrize("on_start", _ON_START)
def test_a_kill_that_was_under_way_ends_although_its_supervisor_was_killed(
    start: Start, docker_client: docker.DockerClient, on_start: str
) -> None:
    supervised = start(SUPERVISOR_ON_START=on_start, JOB_STOP_GRACE_SECONDS="4")
    assert Response() == supervised.launch("timer", "t-1", {"stubborn": 1})
    container = containers.one(docker_client, "t-1")
    eventually(lambda: b"argument: --stubborn" in container.logs())
    with ThreadPoolExecutor(1) as pool:
        kill = pool.submit(supervised.kill, "t-1")
        eventually(lambda: "stopping" in {job.status for job in supervised.jobs()})
        eventually(lambda: 1 <= supervised.metric("supervisor_engine_workers", state="busy"))
        supervised.stop(signal.SIGKILL)
        assert kill.exception()
    supervised.start()
    agree(supervised, docker_client)
    assert Response() == supervised.launch("timer", "t-1")
    agree(supervised, docker_client, "t-1")


# ---------------------------------------------------------------- beside another one


@pytest.mark.parametrize("on_start", _ON_START)
def test_two_of_different_names_leave_each_others_containers_alone(
    start: Start, docker_client: docker.DockerClient, on_start: str
) -> None:
    one, two = (
        start(SUPERVISOR_INSTANCE=name, SUPERVISOR_ON_START=on_start, ORPHAN_GRACE_SECONDS="0")
        for name in ("one", "two")
    )
    for supervised in (one, two):
        assert Response() == supervised.launch("timer", "t-1")
        assert Response() == supervised.launch("mail", "m-1")
    theirs = [each for each in containers.of_ours(docker_client) if _instance(each) == "two"]
    theirs += [
        docker_client.containers.create(worker.IMAGE, labels=containers.labels_of_another("two", i))
        for i in ("orphan", "another-orphan")
    ]
    _begin_anew(one, signal.SIGKILL)
    assert ["m-1", "t-1"] == two.running()
    assert Response() == one.kill("t-1")
    assert Response() == one.kill_all()
    assert [] == one.running()
    assert ["m-1", "t-1"] == two.running() == containers.live(docker_client)
    assert all(map(containers.exists, theirs))
    assert {} == exits(two)


def _instance(container: Container) -> str:
    return str(container.labels[f"{containers.PREFIX}instance"])


@pytest.mark.parametrize("on_start", _ON_START)
def test_a_second_one_of_the_same_name_is_refused_for_as_long_as_the_first_one_lives(
    start: Start, docker_client: docker.DockerClient, on_start: str
) -> None:
    first = start(SUPERVISOR_ON_START=on_start, ORPHAN_GRACE_SECONDS="0")
    assert Response() == first.launch("timer", "t-1")
    created = docker_client.containers.create(
        worker.IMAGE, labels=containers.labels_of_another("default")
    )
    second = start(ready=False, SUPERVISOR_ON_START=on_start)
    line = refusal(second)
    assert "SUPERVISOR_INSTANCE=default: another supervisor of this name runs on this host" in line
    assert ["t-1"] == first.running() == containers.live(docker_client)
    assert containers.exists(created)
    first.stop(signal.SIGKILL)
    second.start()
    assert ["t-1"] * (on_start == "adopt") == second.running() == containers.live(docker_client)
