"""Of the containers that development keeps, the oldest are removed, with their volumes."""

import signal
from pathlib import Path

import docker

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers, volumes
from tests.support.agreement import compare
from tests.support.line import Line
from tests.support.supervised import Supervised, eventually
from tests.support.volumes import Volumes

# Half a second after its exit.
_SOON = str(0.5 / 3600)


def _end(supervised: Supervised, *identifiers: str) -> None:
    for identifier in identifiers:
        assert Response() == supervised.launch("storing", identifier, {"exit": 1})
        eventually(lambda: identifier not in supervised.running())  # noqa: B023 - at once
        eventually(lambda: 0 == supervised.metric("supervisor_jobs", state="exited"))


def _exited(client: docker.DockerClient) -> list[str]:
    found = containers.everything(client)
    return sorted(str(each.name) for each in found if each.status == "exited")


def _of_others(client: docker.DockerClient) -> None:
    """Exited containers of another instance and of nobody."""
    theirs = containers.labels_of_another("another")
    for name, labels in (("theirs", theirs), ("stranger", {})):
        containers.stranger(client, name, labels).kill()


def _removed(supervised: Supervised, limit: str) -> float:
    return supervised.metric("supervisor_retention_removed_total", limit=limit)


def test_past_a_number_or_an_age_the_oldest_go_and_nobody_elses(
    start: Start, line: Line, catalog: Path, docker_client: docker.DockerClient
) -> None:
    volumes.make(docker_client)
    storing = f'storing = {{ kind = "action", image = "{volumes.IMAGE}" }}\n'
    catalog.write_text(catalog.read_text() + storing)
    left = Volumes(docker_client)
    supervised = start(
        DOCKER_HOST=line.host,
        GO_ENV="development",
        SUPERVISOR_ON_START="adopt",
        RETAIN_EXITED_COUNT="2",
    )
    _of_others(docker_client)
    _end(supervised, "aa", "bb", "cc", "dd")
    assert Response() == supervised.launch("storing", "runs")
    compare(supervised, line)
    eventually(lambda: ["cc-1", "dd-1", "stranger", "theirs"] == _exited(docker_client), within=30)
    assert ["runs"] == supervised.running() == containers.live(docker_client)
    # A list lacks a container a moment before its volume is gone and its removal is answered.
    eventually(lambda: 3 == len(left))
    eventually(lambda: 2 == _removed(supervised, "count"))
    supervised.stop(signal.SIGKILL)
    supervised.start(RETAIN_EXITED_HOURS=_SOON)
    eventually(lambda: ["stranger", "theirs"] == _exited(docker_client), within=30)
    eventually(lambda: 2 == _removed(supervised, "hours"))
    assert ["runs"] == supervised.running() == containers.live(docker_client)
    eventually(lambda: 1 == len(left))
