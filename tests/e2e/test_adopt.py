"""Restarts that cost no running job, and who else may be there."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers, worker
from tests.support.collector import Collector
from tests.support.line import Line
from tests.support.stubborn import a_stubborn_one
from tests.support.supervised import Supervised, eventually

pytestmark = pytest.mark.timeout(240)

_ENDS = [signal.SIGTERM, signal.SIGKILL]


@pytest.fixture
def adopting(start: Start, collector: Collector) -> Supervised:
    return start(
        SUPERVISOR_ON_START="adopt",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
        OTEL_BSP_SCHEDULE_DELAY="50",
    )


def _ids(client: docker.DockerClient) -> list[str]:
    return [str(container.id) for container in containers.of_ours(client)]


@pytest.mark.parametrize("number", _ENDS)
def test_what_runs_is_taken_over_by_the_next_start(
    adopting: Supervised, docker_client: docker.DockerClient, number: signal.Signals
) -> None:
    for name, identifier in (("timer", "t-1"), ("timer", "a/b"), ("mail", "m-1"), ("mail", "m-1")):
        assert Response() == adopting.launch(name, identifier)
    before = _ids(docker_client)
    adopting.stop(number)
    adopting.start()
    assert ["a/b", "m-1", "m-1", "t-1"] == adopting.running()
    assert before == _ids(docker_client)
    assert 4 == adopting.metric("supervisor_adoptions_total")
    assert 0 == adopting.metric("supervisor_launches_total")
    assert Response() == adopting.launch("timer", "a/b")  # a dedup
    assert 1 == adopting.metric("supervisor_dedups_total")
    assert Response() == adopting.kill("m-1")
    assert ["a/b", "t-1"] == adopting.running() == containers.live(docker_client)
    assert Response() == adopting.kill_all()
    assert [] == containers.everything(docker_client)


@pytest.mark.parametrize("number", _ENDS)
def test_the_life_of_a_job_goes_on_across_a_restart(
    adopting: Supervised,
    collector: Collector,
    docker_client: docker.DockerClient,
    number: signal.Signals,
) -> None:
    assert Response() == adopting.launch("timer", "t-1")
    (launch,) = eventually(lambda: [s for s in collector.spans() if s.name.endswith("/LaunchJob")])
    before_the_restart = time.time_ns()
    adopting.stop(number)
    adopting.start()
    after_the_restart = time.time_ns()
    containers.one(docker_client, "t-1").kill()
    (life,) = eventually(lambda: collector.spans("job"))
    assert (f"{launch.trace_id}:{launch.span_id}",) == life.links
    assert "error" == life.attributes["supervisor.job.outcome"]
    assert launch.begun < life.begun < before_the_restart  # the container's own start
    (exited,) = adopting.events("job.exited")
    assert exited["seconds"] > (after_the_restart - before_the_restart) / 1e9


def test_what_ended_while_nobody_was_there_is_told_and_removed(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    for identifier in ("stays", "dies", "vanishes"):
        assert Response() == adopting.launch("timer", identifier)
    assert Response() == adopting.launch("webhook", "well")
    adopting.stop(signal.SIGKILL)
    containers.one(docker_client, "dies").kill()
    containers.one(docker_client, "vanishes").remove(force=True)
    containers.one(docker_client, "well").exec_run(["/bin/busybox", "true"])
    adopting.start()
    eventually(lambda: len(containers.everything(docker_client)) == 2)
    assert ["stays", "well"] == adopting.running()
    (exited,) = adopting.events("job.exited")
    assert ("dies", "lost", 137) == (
        exited["identifier"],
        exited["outcome"],
        exited["exit_code"],
    )


def test_a_catalogue_that_was_changed_meanwhile_costs_no_job(
    adopting: Supervised, catalog: Path, docker_client: docker.DockerClient
) -> None:
    for identifier in ("runs", "still-known"):
        assert Response() == adopting.launch("timer", identifier)
    adopting.stop()
    text = catalog.read_text()
    catalog.write_text(text.replace("\ntimer =", "\nclock ="))
    adopting.start()
    assert Response() == adopting.launch("clock", "c-1")
    assert 404 == adopting.launch("timer", "new").error.code
    assert ["c-1", "runs", "still-known"] == adopting.running() == containers.live(docker_client)
    assert Response() == adopting.kill("runs")


def test_a_kill_that_was_half_done_is_done(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    """The Engine keeps its grace, whoever has asked for it."""
    adopting.stop()
    adopting.start(JOB_STOP_GRACE_SECONDS="15")  # longer than a start on a busy machine
    container = a_stubborn_one(adopting, docker_client, "t-1")
    with ThreadPoolExecutor(1) as pool:
        kill = pool.submit(adopting.kill, "t-1")
        eventually(lambda: _was_signalled(docker_client, container))
        assert ["stopping"] == [job.status for job in adopting.jobs()]
        adopting.stop(signal.SIGKILL)
        assert kill.exception()
    adopting.start()
    assert ["t-1"] == adopting.running()
    eventually(adopting.is_idle, within=30)
    assert [] == containers.everything(docker_client)
    assert Response() == adopting.launch("timer", "t-1")


def test_what_was_never_started_makes_way(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    adopting.stop(signal.SIGKILL)
    _half_done(docker_client, "t-1")
    adopting.start()
    assert Response() == adopting.launch("timer", "t-1")
    assert ["t-1"] == containers.live(docker_client)
    assert 1 == len(containers.everything(docker_client))


def _was_signalled(client: docker.DockerClient, container: Container) -> bool:
    """Whether the Engine has sent a signal to what runs in a container."""
    filters = {"container": container.id, "event": "kill"}
    until = int(time.time()) + 1
    return bool(list(client.events(since=0, until=until, filters=filters, decode=True)))


def _half_done(client: docker.DockerClient, name: str) -> None:
    labels = containers.labels_of_another("default", name, launch_id="f" * 16)
    client.containers.create(worker.IMAGE, name=name, labels=labels, network_mode="host")


# Orphans


@pytest.mark.parametrize("dry_run", ["false", "true"])
def test_a_container_that_is_nobodys_job_is_removed_after_its_grace(
    start: Start, line: Line, docker_client: docker.DockerClient, dry_run: str
) -> None:
    supervised = start(DOCKER_HOST=line.host, ORPHAN_GRACE_SECONDS="0.5", ORPHAN_DRY_RUN=dry_run)
    _half_done(docker_client, "half-done")
    containers.stranger(docker_client, "stranger")
    _compare(supervised, line)
    eventually(lambda: 1 == supervised.metric("supervisor_orphans"))  # in the background
    assert 2 == len(containers.everything(docker_client))
    time.sleep(0.6)  # its grace
    _compare(supervised, line)
    left = ["stranger"] if dry_run == "false" else ["half-done", "stranger"]
    eventually(lambda: left == _names(docker_client))
    (found,) = supervised.events("orphan.found")
    assert "half-done" == found["container_name"]


def _names(client: docker.DockerClient) -> list[str]:
    return sorted(str(container.name) for container in containers.everything(client))


def _compare(supervised: Supervised, line: Line) -> None:
    """A gap, after which the supervisor compares what it knows with what is there."""
    line.cut()
    eventually(lambda: "NOT_SERVING" == supervised.health())
    line.mend()
    eventually(supervised.is_ready)


# Other supervisors


@pytest.mark.parametrize("mode", ["remove", "adopt"])
def test_two_instances_leave_each_other_alone(
    start: Start, docker_client: docker.DockerClient, mode: str
) -> None:
    one = start(SUPERVISOR_INSTANCE="one", SUPERVISOR_ON_START=mode)
    other = start(SUPERVISOR_INSTANCE="other", SUPERVISOR_ON_START=mode)
    for supervised in (one, other):
        assert Response() == supervised.launch("timer", "t-1")
    assert ["t-1"] == one.running() == other.running()
    other.stop(signal.SIGKILL)
    other.start()
    assert (["t-1"] if mode == "adopt" else []) == other.running()
    assert Response() == other.kill_all()
    assert ["t-1"] == one.running() == containers.live(docker_client)


def test_a_second_one_of_the_same_name_is_refused_until_the_first_is_gone(
    start: Start, docker_client: docker.DockerClient
) -> None:
    first = start()
    assert Response() == first.launch("timer", "t-1")
    second = start(ready=False)
    assert 1 == second.ended()
    (line,) = second.lines()
    assert "SUPERVISOR_INSTANCE=default: another supervisor of this name" in line
    assert ["t-1"] == first.running() == containers.live(docker_client)
    first.stop(signal.SIGKILL)  # which leaves no lock behind
    second.start()
    assert "SERVING" == second.health()


def test_a_labelled_container_that_serves_the_instance_is_a_second_one(
    start: Start, docker_client: docker.DockerClient
) -> None:
    ours = containers.stranger(docker_client, "t-1", containers.labels_of_another("default"))
    rival = containers.stranger(docker_client, "rival", {"area.supervisor.serves": "default"})
    refused = start(ready=False)
    assert 1 == refused.ended()
    (event,) = refused.events("supervisor.refused")
    assert "'rival'" in event["reason"]
    assert containers.runs(ours)
    rival.kill()
    refused.start()
    assert not containers.exists(ours)
