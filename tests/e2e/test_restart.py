"""What a restart with SUPERVISOR_ON_START=adopt is to those who launch meanwhile."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from typing import Any

import docker
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest

from examples.clients import supervisor as python
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers, node
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


# The clients of examples/clients, and one with the defaults, as the Area backend has it

_MANY, _BEFORE = 24, 6


def _launches(
    supervised: Supervised, number: signal.Signals, *, host: str = "127.0.0.1", **wanted: Any
) -> list[dict[str, Any]]:
    """What a client tells of its launches, while the supervisor is restarted in their midst."""
    asked = {"address": f"{host}:{supervised.port}", "many": _MANY, "milliseconds": 50} | wanted
    with node.running("launches.js", asked) as client:
        told = _lines(client.stdout)
        found = [next(told) for _ in range(_BEFORE)]
        supervised.stop(number)
        supervised.start(ready=False)
        return found + list(told)


def _lines(output: Any) -> Iterator[dict[str, Any]]:
    for line in output:
        yield json.loads(line)


@pytest.mark.parametrize(
    ("host", "number"), [("127.0.0.1", signal.SIGTERM), ("localhost", signal.SIGKILL)]
)
def test_a_node_client_that_waits_and_retries_with_keys_loses_and_doubles_no_launch(
    adopting: Supervised,
    docker_client: docker.DockerClient,
    host: str,
    number: signal.Signals,
) -> None:
    told = _launches(adopting, number, host=host, bridging=True)
    assert [] == [each for each in told if each["code"]]
    launched = sorted(each["identifier"] for each in told)
    assert _MANY == len(launched)
    assert launched == containers.live(docker_client)


@pytest.mark.parametrize("number", _ENDS)
def test_a_python_client_that_waits_and_retries_with_keys_loses_and_doubles_no_launch(
    adopting: Supervised, docker_client: docker.DockerClient, number: signal.Signals
) -> None:
    with (
        closing(python.Supervisor(f"localhost:{adopting.port}")) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        identifiers = sorted(f"m-{n}" for n in range(_MANY))
        launches = pool.map(partial(client.launch, "mail"), identifiers)
        _await_live(docker_client, _BEFORE)
        adopting.stop(number)
        adopting.start(ready=False)
        assert [None] * _MANY == list(launches)
    assert identifiers == containers.live(docker_client)


def test_a_node_client_with_its_defaults_is_refused_while_nobody_listens(
    adopting: Supervised, docker_client: docker.DockerClient
) -> None:
    told = _launches(adopting, signal.SIGTERM, bridging=False)
    assert {0, grpc.StatusCode.UNAVAILABLE.value[0]} == {each["code"] for each in told}
    launched = sorted(each["identifier"] for each in told if not each["code"])
    assert launched == containers.live(docker_client)


# How long nobody listens


@pytest.mark.parametrize("watched", [False, True])
def test_somebody_listens_again_soon(adopting: Supervised, watched: bool) -> None:
    """Some tenths of a second on a machine that has nothing else to do."""
    watch = adopting.health_stub.Watch  # type: ignore[attr-defined]
    if watched:
        assert next(watch(HealthCheckRequest()))
    began = time.monotonic()
    assert 0 == adopting.stop()
    adopting.start(ready=False)
    eventually(lambda: _is_alive(adopting), within=10)
    assert time.monotonic() - began < 10


def _is_alive(supervised: Supervised) -> bool:
    with suppress(grpc.RpcError):
        return supervised.health("liveness") == "SERVING"
    return False
