"""The anonymous volumes of an image go with the containers of its jobs, however those go."""

import signal
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers, volumes
from tests.support.agreement import compare
from tests.support.line import Line
from tests.support.supervised import eventually, run_command
from tests.support.volumes import Volumes

_JOBS = f"""
storing = {{ kind = "action", image = "{volumes.IMAGE}" }}
broken = {{ kind = "action", image = "{volumes.BROKEN}" }}

[jobs.storing-again]
kind = "action"
image = "{volumes.IMAGE}"
restart = {{ back_off = "100ms", most = "200ms" }}
"""


@pytest.fixture(autouse=True)
def _jobs(catalog: Path, docker_client: docker.DockerClient) -> None:
    volumes.make(docker_client)
    catalog.write_text(catalog.read_text() + _JOBS)


@pytest.fixture
def left(docker_client: docker.DockerClient) -> Iterator[Volumes]:
    """What is left of volumes; nothing at the end."""
    found = Volumes(docker_client)
    yield found
    eventually(lambda: 0 == len(found))


def _labelled(
    client: docker.DockerClient, name: str, launch_id: str, *, started: bool = True
) -> None:
    labels = containers.labels_of_another("default", "t-1", launch_id)
    container = client.containers.create(
        volumes.IMAGE, name=name, labels=labels, network_mode="host", init=True
    )
    if started:
        container.start()


def test_kills_exits_and_failed_starts_leave_no_volume(
    start: Start, docker_client: docker.DockerClient, left: Volumes
) -> None:
    supervised = start()
    for identifier in ("killed", "exited", "removed", "killed with all"):
        params = {"after": 1, "exit": 1} if identifier == "exited" else {}
        assert Response() == supervised.launch("storing", identifier, params)
    eventually(lambda: len(supervised.jobs()) == len(left) == 3)  # the third one has exited
    assert Response() == supervised.kill("killed")
    assert 2 == len(left)
    containers.one(docker_client, "removed").kill()
    eventually(lambda: 1 == len(left))
    assert 502 == supervised.launch("broken", "b-1").error.code
    assert 1 == len(left)
    assert Response() == supervised.kill_all()
    assert 0 == len(left)


def test_what_an_earlier_run_has_left_takes_its_volumes_along(
    start: Start, line: Line, docker_client: docker.DockerClient, left: Volumes
) -> None:
    for name, launch_id in (("t-1", "1"), ("t-1-old", "2")):
        _labelled(docker_client, name, launch_id * 16)
    assert 2 == len(left)
    supervised = start(DOCKER_HOST=line.host, ORPHAN_GRACE_SECONDS="0")  # it removes them
    assert 0 == len(left)
    _labelled(docker_client, "orphan", "3" * 16, started=False)
    assert 1 == len(left)
    compare(supervised, line)
    eventually(lambda: not containers.everything(docker_client))
    eventually(lambda: 0 == len(left))


def test_one_container_too_many_takes_its_volume_along(
    start: Start, docker_client: docker.DockerClient, left: Volumes
) -> None:
    for name, launch_id in (("t-1-old", "1"), ("t-1", "2")):
        _labelled(docker_client, name, launch_id * 16)
    supervised = start(SUPERVISOR_ON_START="adopt")
    eventually(lambda: 1 == len(containers.everything(docker_client)), within=30)
    eventually(lambda: 1 == len(left))
    assert 1 == len(list(supervised.events("job.surplus")))
    assert Response() == supervised.kill_all()


def test_a_job_that_is_started_again_has_one_volume_also_after_a_sigkill(
    start: Start, docker_client: docker.DockerClient, left: Volumes
) -> None:
    supervised = start(SUPERVISOR_ON_START="adopt", ORPHAN_GRACE_SECONDS="0")
    assert Response() == supervised.launch("storing-again", "a-1")
    containers.one(docker_client, "a-1").kill()
    eventually(lambda: 1 == supervised.metric("supervisor_restarts_total"))
    eventually(lambda: 1 == len(left))
    containers.one(docker_client, "a-1").kill()
    supervised.stop(signal.SIGKILL)
    supervised.start()
    eventually(lambda: supervised.has_only("a-1"))
    eventually(lambda: 1 == len(left), within=60)
    assert Response() == supervised.kill("a-1")
    assert 0 == len(left)


def test_the_go_supervisors_containers_take_their_volumes_along(
    engine: PrivateEngine,
    catalog: Path,
    tmp_path: Path,
    docker_client: docker.DockerClient,
    left: Volumes,
) -> None:
    for name, auto_remove in (("development", False), ("production", True)):
        docker_client.containers.run(
            volumes.IMAGE, name=name, detach=True, auto_remove=auto_remove, network_mode="host"
        )
    assert 2 == len(left)
    settings = {"DOCKER_HOST": engine.host, "JOB_CATALOG": str(catalog)}
    ended = run_command(
        tmp_path, settings | {"JOB_STOP_GRACE_SECONDS": "1"}, "remove-legacy", within=120.0
    )
    assert 0 == ended.returncode, ended.stdout
    assert [] == containers.everything(docker_client)
