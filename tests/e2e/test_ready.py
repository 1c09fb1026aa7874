"""Launches that are answered once their job is healthy, by a health check of a real Engine."""

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from service._generated.area_types_pb2 import Response
from service.jobs.labels import restarts_in
from tests.conftest import Start
from tests.support import containers, worker
from tests.support.supervised import Supervised, eventually

_IMAGE = "supervisor-test-checked"
_PROBE = '["/bin/busybox", "cat", "/healthy"]'
_CHECK = f"HEALTHCHECK --interval=1s --timeout=5s --retries=2 CMD {_PROBE}"
# It prints what it finds, as a careless probe would: the arguments of the worker.
_CARELESS = (
    '["/bin/busybox", "sh", "-c", "/bin/busybox tr \'\\\\0\' \' \' </proc/1/cmdline; exit 7"]'
)
_SECRET = "s3cret-token-of-a-user"
_JOBS = f"""
checked = {{ kind = "action", image = "{_IMAGE}", ready = "healthcheck", ready_timeout = "1m" }}
unchecked = {{ kind = "action", image = "{worker.IMAGE}", ready = "healthcheck" }}

[jobs.careless]
kind = "action"
image = "{worker.IMAGE}"
ready = "healthcheck"
ready_timeout = "4s"
healthcheck = {{ command = {_CARELESS}, interval = "500ms", retries = 2 }}

[jobs.cured]
kind = "action"
image = "{_IMAGE}"
restart = {{ unhealthy = true, back_off = "200ms" }}

[jobs.patient]
kind = "action"
image = "{_IMAGE}"
ready = "healthcheck"
healthcheck = {{ retries = 60 }}  # Docker calls it unhealthy after a minute
"""


@pytest.fixture
def supervised(start: Start, catalog: Path, docker_client: docker.DockerClient) -> Supervised:
    worker.variant(docker_client, _IMAGE, _CHECK)
    catalog.write_text(catalog.read_text() + _JOBS)
    return start(SUPERVISOR_ON_START="adopt", JOB_STOP_GRACE_SECONDS="1")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def _waiting(
    supervised: Supervised,
    pool: ThreadPoolExecutor,
    client: docker.DockerClient,
    job: str = "checked",
    **params: int,
) -> tuple[Future[Response], Container]:
    """A launch that waits for its job's health, and the container."""
    launch = pool.submit(supervised.launch, job, "c-1", params)
    eventually(lambda: containers.live(client))
    eventually(lambda: ["starting"] == [job.status for job in supervised.jobs()])
    assert not launch.done()
    return launch, containers.one(client, "c-1")


def _become(container: Container, *, healthy: bool) -> None:
    action = "touch" if healthy else "rm"
    assert 0 == container.exec_run(["/bin/busybox", action, "/healthy"]).exit_code


def _unhealthy(supervised: Supervised) -> float:
    return supervised.metric("supervisor_jobs_unhealthy", job_name="checked")


def test_a_launch_is_answered_once_its_job_is_healthy_which_is_told_from_then_on(
    supervised: Supervised, pool: ThreadPoolExecutor, docker_client: docker.DockerClient
) -> None:
    launch, container = _waiting(supervised, pool, docker_client)
    repeated = pool.submit(supervised.launch, "checked", "c-1")
    eventually(lambda: 2 == supervised.calls("LaunchJob"))
    assert not repeated.done()
    _become(container, healthy=True)
    assert Response() == launch.result(30) == repeated.result(30)
    assert ["running"] == [job.status for job in supervised.jobs()]
    assert 1 == supervised.metric("supervisor_launches_total", job_name="checked")
    assert 1 == supervised.metric("supervisor_dedups_total", job_name="checked")
    _become(container, healthy=False)
    eventually(lambda: 1 == _unhealthy(supervised), within=30)
    (told,) = supervised.events("job.unhealthy")
    assert "can't open '/healthy'" in told["output"][0]
    assert Response() == supervised.launch("checked", "c-1")
    _become(container, healthy=True)
    eventually(lambda: 0 == _unhealthy(supervised), within=30)
    containers.pause(docker_client, str(container.id), paused=True)
    eventually(lambda: ["paused"] == [job.status for job in supervised.jobs()])
    containers.pause(docker_client, str(container.id), paused=False)
    eventually(lambda: ["running"] == [job.status for job in supervised.jobs()])
    assert 1 == len(list(supervised.events("job.unhealthy")))  # Docker calls a paused one that, too
    assert Response() == supervised.kill("c-1")
    assert [] == containers.everything(docker_client)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_that_becomes_unhealthy_is_started_again_if_it_says_so(
    supervised: Supervised, docker_client: docker.DockerClient, number: signal.Signals
) -> None:
    assert Response() == supervised.launch("cured", "c-1")
    first = containers.one(docker_client, "c-1")
    _become(first, healthy=True)
    eventually(lambda: "healthy" == _health(first), within=30)
    supervised.stop(number)
    _become(first, healthy=False)
    eventually(lambda: "unhealthy" == _health(first), within=30)
    supervised.start()
    second = _successor(supervised, docker_client, first)
    _become(second, healthy=True)
    eventually(lambda: "healthy" == _health(second), within=30)
    containers.pause(docker_client, str(second.id), paused=True)
    containers.pause(docker_client, str(second.id), paused=False)  # until the next probe
    eventually(lambda: "healthy" == _health(second), within=30)
    _become(second, healthy=False)
    third = _successor(supervised, docker_client, second)
    assert 2 == restarts_in(third.labels).total
    told = [(e["outcome"], e["reason"]) for e in supervised.events("job.backing_off")]
    assert [("error", "unhealthy")] * 2 == told
    assert Response() == supervised.kill("c-1")
    assert [] == containers.everything(docker_client)


def _health(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])


def _successor(supervised: Supervised, client: docker.DockerClient, old: Container) -> Container:
    def found() -> bool:
        each = containers.of(client, "c-1")
        alone = len(each) == 1 and each[0].id != old.id and containers.runs(each[0])
        return alone and supervised.running() == ["c-1"]

    eventually(found, within=60)
    return containers.one(client, "c-1")


def test_a_job_that_does_not_become_healthy_is_ended_and_gives_no_secret_away(
    supervised: Supervised, docker_client: docker.DockerClient
) -> None:
    error = supervised.launch("careless", "c-1", auth={"token": _SECRET}).error
    assert 502 == error.code
    assert "careless: was not healthy within ready_timeout (4 s): its last probe ended with 7" in (
        error.message
    )
    assert "--identifier c-1" in error.message
    assert _SECRET not in error.message
    assert _SECRET not in supervised.log()
    assert [] == supervised.jobs()
    assert [] == containers.everything(docker_client)
    assert 1 == supervised.metric("supervisor_failures_total", job_name="careless")
    assert 1 == len(list(supervised.events("job.not_ready")))


def test_an_image_without_a_health_check_is_refused_before_it_runs(
    supervised: Supervised, docker_client: docker.DockerClient
) -> None:
    error = supervised.launch("unchecked", "u-1").error
    assert 502 == error.code
    assert f'ready = "healthcheck": the image {worker.IMAGE} has no HEALTHCHECK' in error.message
    assert [] == containers.everything(docker_client)
    assert [] == list(supervised.events("job.launched"))


def test_a_worker_that_exits_or_is_killed_ends_the_wait(
    supervised: Supervised, pool: ThreadPoolExecutor, docker_client: docker.DockerClient
) -> None:
    launch, _ = _waiting(supervised, pool, docker_client, after=3, exit=3)
    error = launch.result(30).error
    assert (502, True) == (error.code, "(error, exit code 3)" in error.message), error
    for everything in (False, True):
        launch, _ = _waiting(supervised, pool, docker_client)
        assert Response() == (supervised.kill_all() if everything else supervised.kill("c-1"))
        assert Response() == launch.result(30)
        assert [] == containers.everything(docker_client)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_start_that_adopts_goes_on_waiting(
    supervised: Supervised,
    pool: ThreadPoolExecutor,
    docker_client: docker.DockerClient,
    number: signal.Signals,
) -> None:
    launch, container = _waiting(supervised, pool, docker_client, "patient")
    supervised.stop(number)
    assert launch.exception() or 503 == launch.result().error.code
    assert containers.runs(container)
    supervised.start()
    again, same = _waiting(supervised, pool, docker_client, "patient")
    assert same.id == container.id
    _become(container, healthy=True)
    assert Response() == again.result(30)
    assert 0 == supervised.metric("supervisor_launches_total")
    assert ["running"] == [job.status for job in supervised.jobs()]
