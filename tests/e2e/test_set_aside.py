"""A container that the Engine cannot remove keeps neither its name nor its identifier."""

import time
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers, worker
from tests.support.agreement import compare, exits
from tests.support.http_line import Fault, HttpLine, requests, untouched
from tests.support.immutable import folder_of, immutable, kept_file, layer_of
from tests.support.line import Line
from tests.support.supervised import eventually

pytestmark = pytest.mark.timeout(180)

# A client gives up after 25 s; a kill that has to set something aside takes a second or two.
_SOON_SECONDS = 12.0

_Kept = Callable[[PrivateEngine, Container], Path]
_KEPT: list[_Kept] = [kept_file, lambda _, container: layer_of(container)]


def _aside(client: docker.DockerClient) -> list[str]:
    return [str(c.name) for c in containers.everything(client) if ".removing-" in str(c.name)]


@pytest.mark.parametrize("kept", _KEPT, ids=["a file of the Engine's", "the layer"])
def test_what_cannot_be_removed_blocks_neither_kill_nor_launch(
    start: Start,
    engine: PrivateEngine,
    line: Line,
    docker_client: docker.DockerClient,
    kept: _Kept,
) -> None:
    supervised = start(DOCKER_HOST=line.host, ORPHAN_GRACE_SECONDS="1")
    assert Response() == supervised.launch("timer", "t-1")
    container = containers.one(docker_client, "t-1")
    with immutable(kept(engine, container)):
        began = time.monotonic()
        assert Response() == supervised.kill("t-1")
        assert time.monotonic() - began < _SOON_SECONDS
        assert [f"t-1.removing-{str(container.id)[:12]}"] == _aside(docker_client)
        assert [] == supervised.running()
        assert Response() == supervised.launch("timer", "t-1")
        assert ["t-1"] == supervised.running() == containers.live(docker_client)
        assert {"killed": 1} == exits(supervised)
        (told,) = supervised.events("container.set_aside")
        assert "operation not permitted" in told["error"]
        compare(supervised, line)
        eventually(lambda: 1 == supervised.metric("supervisor_orphans"))

    def is_gone() -> bool:
        compare(supervised, line)
        return [] == _aside(docker_client)

    eventually(is_gone, within=60)
    assert ["t-1"] == supervised.running()
    assert Response() == supervised.kill_all()


def test_an_exit_of_what_cannot_be_removed_is_told_as_it_was(
    start: Start, engine: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1", {"after": 3, "exit": 7})
    with immutable(kept_file(engine, containers.one(docker_client, "t-1"))):
        eventually(lambda: {"error": 1} == exits(supervised), within=20)
        (told,) = supervised.events("job.exited")
        assert ("error", 7) == (told["outcome"], told["exit_code"])
        assert Response() == supervised.launch("timer", "t-1")


@pytest.mark.parametrize("mode", ["remove", "adopt"])
def test_a_start_sets_aside_what_cannot_be_removed_and_the_next_one_minds_it_no_more(
    start: Start, docker_client: docker.DockerClient, mode: str
) -> None:
    labels = containers.labels_of_another("default", "t-1")
    container = containers.stranger(docker_client, "t-1", labels)
    container.kill()
    container.reload()
    with immutable(layer_of(container)):
        supervised = start(SUPERVISOR_ON_START=mode)
        assert Response() == supervised.launch("timer", "t-1")
        assert 1 == len(list(supervised.events("container.set_aside")))
        assert 0 == supervised.stop()
        supervised.start()
        assert Response() == supervised.launch("timer", "t-1")
        assert 1 == len(list(supervised.events("container.set_aside")))
        assert 1 == len(_aside(docker_client))
        told = [event["outcome"] for event in supervised.events("job.exited")]
        assert ([] if mode == "remove" else ["lost"]) == told


def test_a_launch_clears_what_a_third_party_has_failed_to_remove(
    start: Start, engine: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    """Docker calls it dead, and lists it for ever as one that is being removed."""
    supervised = start()
    labels = containers.labels_of_another("default", "t-1")
    container = docker_client.containers.create(
        worker.IMAGE, name="t-1", labels=labels, network_mode="host"
    )
    with immutable(kept_file(engine, container)):
        with pytest.raises(APIError):
            container.remove()
        container.reload()
        assert "dead" == container.status
        assert Response() == supervised.launch("timer", "t-1")
        assert 1 == len(_aside(docker_client))


def test_what_cannot_be_renamed_either_fails_with_both_reasons_and_is_made_good(
    start: Start, engine: PrivateEngine, line: Line, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=line.host)
    assert Response() == supervised.launch("timer", "t-1")
    with immutable(folder_of(engine, containers.one(docker_client, "t-1"))):
        error = supervised.kill("t-1").error
        assert 502 == error.code
        assert "nor can it be set aside" in error.message
    compare(supervised, line)
    eventually(supervised.is_idle, within=60)
    assert [] == containers.everything(docker_client)


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST])
def test_a_removal_that_is_refused_or_hangs_frees_the_identifier(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient, fault: Fault
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    assert Response() == supervised.launch("timer", "t-1")
    meddled.meddle = requests("DELETE", containers.one(docker_client, "t-1").id or "", fault)
    assert Response() == supervised.kill("t-1")
    assert Response() == supervised.launch("timer", "t-1")
    assert 1 == len(_aside(docker_client))
    meddled.meddle = untouched
