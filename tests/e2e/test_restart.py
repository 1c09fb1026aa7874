"""What a restart with SUPERVISOR_ON_START=adopt is to those who launch meanwhile."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import docker
import grpc
import pytest

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.supervised import Supervised, eventually

_ENDS = [signal.SIGTERM, signal.SIGKILL]


@pytest.fixture
def adopting(start: Start) -> Supervised:
    return start(SUPERVISOR_ON_START="adopt")


def _keyed(key: str) -> tuple[tuple[str, str], ...]:
    return (("idempotency-key", key),)


# Launches with an idempotency-key


@pytest.mark.parametrize("number", _ENDS)
def test_a_restart_that_adopts_knows_the_keys_of_what_runs_and_of_what_has_ended(
    adopting: Supervised, docker_client: docker.DockerClient, number: signal.Signals
) -> None:
    for identifier in ("runs", "ends"):
        assert Response() == adopting.launch("mail", identifier, metadata=_keyed(identifier))
    adopting.stop(number)
    containers.one(docker_client, "ends").kill()
    adopting.start()
    for identifier in ("runs", "ends"):
        assert Response() == adopting.launch("mail", identifier, metadata=_keyed(identifier))
    assert ["runs"] == adopting.running() == containers.live(docker_client)
    assert 0 == adopting.metric("supervisor_launches_total")
    assert 2 == adopting.metric("supervisor_dedups_total")


def test_crashes_in_the_middle_of_launches_that_are_tried_again_double_none(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    """Some are created then, some are being started, and some have been."""
    identifiers = [f"m-{n}" for n in range(30)]

    def launch(identifier: str) -> None:
        metadata = _keyed(identifier)
        with suppress(grpc.RpcError):
            adopting.launch("mail", identifier, metadata=metadata, wait_for_ready=True)

    for running in (4, 12):
        with ThreadPoolExecutor(len(identifiers)) as pool:
            pool.map(launch, identifiers)
            _await_live(docker_client, running)
            adopting.stop(signal.SIGKILL)
        adopting.start(ready=False)  # so that the next launches are there before its first look
    for identifier in identifiers:
        metadata = _keyed(identifier)
        answer = adopting.launch("mail", identifier, metadata=metadata, wait_for_ready=True)
        assert Response() == answer
    assert sorted(identifiers) == containers.live(docker_client)
    assert sorted(identifiers) == adopting.running()


def _await_live(client: docker.DockerClient, many: int) -> None:
    eventually(lambda: len(containers.live(client)) >= many, within=30)
