"""LaunchJob with the metadata `idempotency-key`, on the real Engine."""

from concurrent.futures import ThreadPoolExecutor

import docker
import pytest

from service._generated.area_types_pb2 import Response
from tests.support import containers
from tests.support.supervised import Supervised, eventually

Metadata = tuple[tuple[str, str], ...]


def _keyed(key: str) -> Metadata:
    return (("idempotency-key", key),)


def test_a_reaction_is_launched_once_however_often_it_is_asked_for(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    with ThreadPoolExecutor(16) as pool:
        asked = [
            pool.submit(shared.launch, "mail", "m-1", {"to": "a"}, metadata=_keyed("k-1"))
            for _ in range(16)
        ]
        assert all(Response() == each.result() for each in asked)
    container = containers.one(docker_client, "m-1")
    assert "k-1" == container.labels["area.supervisor.idempotency-key"]
    assert Response() == shared.launch("mail", "m-1", {"to": "a"}, metadata=_keyed("k-2"))
    assert Response() == shared.launch("mail", "m-1", {"to": "a"})
    assert 3 == len(containers.of(docker_client, "m-1"))


def test_what_has_ended_is_not_launched_again_by_a_retry(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    launched = shared.metric("supervisor_launches_total")
    assert Response() == shared.launch("mail", "m-2", {"exit": 0}, metadata=_keyed("k-3"))
    eventually(shared.is_idle)
    assert Response() == shared.launch("mail", "m-2", {"exit": 0}, metadata=_keyed("k-3"))
    assert 1 == shared.metric("supervisor_launches_total") - launched
    assert [] == containers.everything(docker_client)
    dedup = list(shared.events("launch.dedup"))[-1]
    assert ("m-2", "k-3") == (dedup["identifier"], dedup["idempotency_key"])


def test_a_launch_that_fails_frees_its_key(shared: Supervised) -> None:
    for _ in range(2):
        assert 422 == shared.launch("missing", "x-1", metadata=_keyed("k-4")).error.code


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (_keyed(""), "is empty or blank"),
        (_keyed("x" * 256), "has 256 characters; at most 255 are allowed"),
        (_keyed("a") + _keyed("b"), "is given 2 times; one is allowed"),
    ],
)
def test_what_is_no_key_is_a_400_that_names_it(
    shared: Supervised, metadata: Metadata, told: str
) -> None:
    error = shared.launch("mail", "m-3", metadata=metadata).error
    assert 400 == error.code
    assert error.message.startswith(f"idempotency-key: {told}")
    assert [] == shared.running()


def test_a_key_that_stands_for_another_launch_is_a_400(shared: Supervised) -> None:
    assert Response() == shared.launch("mail", "m-4", metadata=_keyed("k-5"))
    for name, identifier in (("mail", "m-5"), ("timer", "m-4")):
        error = shared.launch(name, identifier, metadata=_keyed("k-5")).error
        assert 400 == error.code
        assert error.message.startswith("idempotency-key: stands for an earlier launch")
    assert ["m-4"] == shared.running()
