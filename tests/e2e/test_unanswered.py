"""Containers that the Engine lists and answers nothing about: they hold up nothing else.

Docker may be so for minutes, or for good, after its return with live-restore (docker/for-linux
issue 761). Here a proxy loses the requests.
"""

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import docker
import pytest

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.agreement import agree, await_fall, exits
from tests.support.http_line import Fault, HttpLine, Meddle, untouched
from tests.support.supervised import Supervised, eventually

pytestmark = pytest.mark.timeout(400)

# More than calls may be with the Engine at once.
_STUCK = [f"stuck-{number:02}" for number in range(30)]
_SECONDS = 9.0


def _lost(ids: Collection[str]) -> Meddle:
    """What is asked about some containers gets lost."""

    def meddle(method: str, path: str) -> Fault | None:
        del method
        return Fault.LOST if any(each in path for each in ids) else None

    return meddle


def _die_in_a_gap(supervised: Supervised, line: HttpLine, client: docker.DockerClient) -> None:
    """Some jobs end while the Engine is away, which then answers nothing about them."""
    line.cut()
    await_fall(supervised)
    dead = [each for each in containers.everything(client) if each.name in _STUCK]
    assert len(_STUCK) == len(dead)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: each.kill(), dead))
    eventually(lambda: not set(_STUCK) & set(containers.live(client)))
    line.meddle = _lost([str(each.id) for each in dead])
    line.mend()


def test_what_cannot_be_looked_at_holds_up_neither_launches_nor_kills_nor_exits(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    with ThreadPoolExecutor(8) as pool:
        identifiers = [*_STUCK, "killed", "ends", "stays"]
        answers = pool.map(lambda each: supervised.launch("timer", each), identifiers)
        assert [Response()] * len(identifiers) == list(answers)
    _die_in_a_gap(supervised, meddled, docker_client)
    eventually(supervised.is_ready, within=_SECONDS)
    began = time.monotonic()
    assert Response() == supervised.launch("timer", "new")
    assert Response() == supervised.kill("killed")
    containers.one(docker_client, "ends").kill()
    eventually(lambda: ["new", "stays"] == supervised.running(), within=_SECONDS)
    assert time.monotonic() - began < _SECONDS
    told = next(supervised.events("compare.incomplete"))
    assert told["jobs"] >= len(_STUCK)
    assert set(told["identifiers"]) <= set(_STUCK)
    assert "SERVING" == supervised.health()
    meddled.meddle = untouched
    assert Response() == supervised.launch("timer", _STUCK[0], timeout=120)  # it waits for the end
    agree(supervised, docker_client, "new", "stays", _STUCK[0])
    assert {"lost": len(_STUCK), "killed": 1, "error": 1} == exits(supervised)
