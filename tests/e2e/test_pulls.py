"""Images that a launch pulls, as backends and operators meet that."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import docker
import pytest
from docker.errors import APIError

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import catalog as catalog_of_tests
from tests.support import containers, worker
from tests.support.failing_registry import FailingRegistry, a_failing_registry
from tests.support.registry import PASSWORD, Pushed, Registry, a_local_registry
from tests.support.supervised import Supervised, eventually, launch_request


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that asks for a login."""
    with a_local_registry(tmp_path_factory.mktemp("registry"), logins=True) as made:
        yield made


@pytest.fixture
def image(registry: Registry, docker_client: docker.DockerClient) -> Iterator[Pushed]:
    """An image that the Engine does not have by this name."""
    pushed = registry.push(docker_client, worker.IMAGE, "private/worker:latest")
    yield pushed
    for name in (pushed.name, pushed.by_digest):
        if docker_client.images.list(name):
            with suppress(APIError):  # Podman knows no tag that has a digest
                docker_client.images.remove(name, force=True)


@pytest.fixture
def failing() -> Iterator[FailingRegistry]:
    with a_failing_registry() as made:
        yield made


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """For requests that take as long as a pull."""
    with ThreadPoolExecutor() as threads:
        yield threads


def _catalog(tmp_path: Path, **jobs: str) -> str:
    path = tmp_path / "pulling.toml"
    lines = [f'{name} = {{ kind = "action", {keys} }}' for name, keys in jobs.items()]
    path.write_text("\n".join([catalog_of_tests.TEXT, *lines]))
    return str(path)


def _login(registry: Registry, tmp_path: Path, password: str = PASSWORD) -> str:
    (tmp_path / "config.json").write_text(json.dumps(registry.config_json(password)))
    return str(tmp_path)


def _pulls(supervised: Supervised, outcome: str) -> float:
    return supervised.metric("supervisor_pull_duration_seconds_count", outcome=outcome)


def _under_way(supervised: Supervised) -> float:
    return supervised.metric("supervisor_pulls_in_progress", state="under_way")


def test_a_launch_pulls_what_is_missing_and_a_later_one_has_it(
    start: Start, registry: Registry, image: Pushed, tmp_path: Path
) -> None:
    far = f'image = "{image.name}", pull = "missing", platform = "linux/amd64"'
    supervised = start(
        JOB_CATALOG=_catalog(tmp_path, far=far), DOCKER_CONFIG=_login(registry, tmp_path, "wrong")
    )
    denied = supervised.launch("far", "f-1").error
    assert 424 == denied.code
    assert registry.address in denied.message
    _login(registry, tmp_path)
    for identifier in ("f-1", "f-2"):
        assert Response() == supervised.launch("far", identifier)
    assert ["f-1", "f-2"] == supervised.running()
    assert (1, 1) == (_pulls(supervised, "pulled"), _pulls(supervised, "failed"))
    assert ["pulled"] == [each["outcome"] for each in supervised.events("pull.ended")]
    assert 1 == len(list(supervised.events("pull.failed")))
    assert PASSWORD not in supervised.log()


def test_an_image_is_pulled_and_launched_by_its_digest(
    start: Start, registry: Registry, image: Pushed, tmp_path: Path
) -> None:
    keys = f'image = "{image.by_digest}"'
    jobs = {"pulled": f'{keys}, pull = "missing"', "kept": keys}
    supervised = start(
        JOB_CATALOG=_catalog(tmp_path, **jobs), DOCKER_CONFIG=_login(registry, tmp_path)
    )
    assert 422 == supervised.launch("kept", "k-1").error.code
    assert Response() == supervised.launch("pulled", "p-1")
    assert Response() == supervised.launch("kept", "k-1")


def test_each_launch_pulls_if_it_says_always_and_production_warns_of_a_moving_tag(
    start: Start, registry: Registry, image: Pushed, tmp_path: Path
) -> None:
    jobs = {
        "moving": f'image = "{image.name}", pull = "always"',
        "steady": f'image = "{image.by_digest}", pull = "always"',
    }
    supervised = start(
        JOB_CATALOG=_catalog(tmp_path, **jobs), DOCKER_CONFIG=_login(registry, tmp_path)
    )
    assert [image.name] == [each["image"] for each in supervised.events("catalog.moving_tag")]
    for identifier in ("m-1", "m-2"):
        assert Response() == supervised.launch("moving", identifier)
    assert 2 == _pulls(supervised, "pulled")


@pytest.fixture
def stalling(
    start: Start, failing: FailingRegistry, tmp_path: Path
) -> tuple[Supervised, FailingRegistry]:
    """A supervisor whose pulls stall in the middle of a layer."""
    failing.stalls_at = "blobs"
    far = f'image = "{failing.image()}", pull = "missing"'
    return start(JOB_CATALOG=_catalog(tmp_path, far=far)), failing


def _begin(
    pool: ThreadPoolExecutor, stalling: tuple[Supervised, FailingRegistry]
) -> Future[Response]:
    """Begin a launch; return when its pull stalls."""
    supervised, failing = stalling
    launch = pool.submit(supervised.launch, "far", "f-1")
    assert failing.stalled.wait(30)
    return launch


@pytest.mark.parametrize("everything", [False, True])
def test_a_kill_ends_a_launch_that_pulls(
    everything: bool,
    stalling: tuple[Supervised, FailingRegistry],
    pool: ThreadPoolExecutor,
    docker_client: docker.DockerClient,
) -> None:
    supervised, failing = stalling
    launch = _begin(pool, stalling)
    assert [("f-1", "starting")] == [(job.identifier, job.status) for job in supervised.jobs()]
    assert 1 == _under_way(supervised)
    repeated = pool.submit(supervised.launch, "far", "f-1")
    for _ in range(2):  # all else goes on meanwhile
        assert Response() == supervised.launch("timer", "t-1")
    assert 1 == supervised.metric("supervisor_dedups_total", job_name="timer")
    assert Response() == supervised.kill("t-1")
    eventually(lambda: 4 == supervised.calls("LaunchJob"))
    assert not launch.done()
    assert not repeated.done()
    assert Response() == (supervised.kill_all() if everything else supervised.kill("f-1"))
    assert (499, 499) == (launch.result(30).error.code, repeated.result(30).error.code)
    assert failing.left.wait(30)
    eventually(supervised.is_idle)
    eventually(lambda: _under_way(supervised) == 0)
    assert [] == containers.everything(docker_client)


def test_a_pull_ends_with_the_last_client_that_waits(
    stalling: tuple[Supervised, FailingRegistry],
) -> None:
    supervised, failing = stalling
    call = supervised.stub.LaunchJob.future(launch_request("far", "f-1"), timeout=60)
    assert failing.stalled.wait(30)
    call.cancel()
    assert failing.left.wait(30)
    eventually(supervised.is_idle)
    eventually(lambda: _pulls(supervised, "cancelled") == 1)


def test_a_stop_does_not_wait_for_a_pull(
    stalling: tuple[Supervised, FailingRegistry], pool: ThreadPoolExecutor
) -> None:
    supervised, failing = stalling
    launch = _begin(pool, stalling)
    assert 0 == supervised.stop(within=10)
    assert 503 == launch.result(30).error.code
    assert failing.left.wait(30)


def test_a_supervisor_that_is_killed_during_a_pull_leaves_nothing(
    stalling: tuple[Supervised, FailingRegistry],
    pool: ThreadPoolExecutor,
    docker_client: docker.DockerClient,
) -> None:
    supervised, failing = stalling
    launch = _begin(pool, stalling)
    supervised.stop(signal.SIGKILL)
    assert launch.exception(30) is not None
    assert failing.left.wait(30)
    supervised.start(SUPERVISOR_ON_START="adopt")
    assert ([], 0) == (supervised.running(), _under_way(supervised))
    assert [] == containers.everything(docker_client)
    assert [] == docker_client.images.list(failing.image())


def test_a_pull_that_takes_too_long_is_a_504(
    start: Start, failing: FailingRegistry, tmp_path: Path
) -> None:
    failing.stalls_at = "manifests"
    far = f'image = "{failing.image()}", pull = "missing"'
    supervised = start(
        JOB_CATALOG=_catalog(tmp_path, far=far),
        PULL_TIMEOUT_SECONDS="1.5",
        LAUNCH_TIMEOUT_SECONDS="1",
    )
    failed = supervised.launch("far", "f-1").error
    assert 504 == failed.code
    assert "PULL_TIMEOUT_SECONDS=1.5" in failed.message
