"""What a supervisor and the doctor say of an engine that is to be a manager of a Swarm."""

import json
from collections.abc import Mapping
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

from scripts.private_engine import PrivateEngine
from service.app.metric_labels import new_metrics
from service.engine.docker.connection import Connection
from service.engine.swarm.engine import SwarmEngine
from service.errors import StartError
from tests.support import worker
from tests.support.supervised import Supervised, run_command
from tests.support.swarm import Swarm, SwarmNode

_CATALOG = f"""
[jobs]
timer = {{ kind = "action", image = "{worker.IMAGE}" }}
nowhere = {{ kind = "action", image = "not-on-the-manager", network = "no-such-network" }}
local = {{ kind = "action", image = "not-on-the-manager", network = "of-one-node" }}
"""


async def _refusal(node: PrivateEngine) -> str:
    metrics = new_metrics([], version="test", engine="swarm", mode="test")
    engine = SwarmEngine(Connection(node.host), {"test.instance": "a"}, metrics)
    async with aclosing(engine.watch()) as news:
        with pytest.raises(StartError) as caught:
            await anext(news)
    await engine.close()
    return str(caught.value)


async def test_an_engine_that_is_in_no_swarm_is_refused(engine: PrivateEngine) -> None:
    assert "is in no Swarm; run `docker swarm init` there" in await _refusal(engine)
    engine.live_restore(on=True)
    try:
        assert "is in no Swarm; turn `live-restore` off" in await _refusal(engine)
    finally:
        engine.live_restore(on=False)


async def test_a_worker_is_refused(swarm_of_three: Swarm) -> None:
    refusal = await _refusal(swarm_of_three.workers[0])
    assert "is a worker; let DOCKER_HOST name a manager" in refusal


def test_a_start_at_a_worker_ends_and_says_what_to_do(
    swarm_of_three: Swarm, catalog: Path, tmp_path: Path
) -> None:
    settings = {
        "DOCKER_HOST": swarm_of_three.workers[0].host,
        "SUPERVISOR_ENGINE": "swarm",
        "GRPC_CALLBACK_HOST": "backend.test",
        "JOB_CATALOG": str(catalog),
    }
    with ExitStack() as stack:
        supervised = stack.push(Supervised(tmp_path, settings)).start(ready=False)
        assert 1 == supervised.ended()
        (event,) = supervised.events("supervisor.refused")
    assert "let DOCKER_HOST name a manager" in event["reason"]


def _found(folder: Path, node: SwarmNode) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """What the doctor finds, by check and subject."""
    (folder / "catalog.toml").write_text(_CATALOG)
    settings = {
        "DOCKER_HOST": node.host,
        "SUPERVISOR_ENGINE": "swarm",
        "GRPC_CALLBACK_HOST": "backend.test",
        "GO_ENV": "production",
        "JOB_CATALOG": str(folder / "catalog.toml"),
    }
    ended = run_command(folder, settings, "doctor", "--json", "--no-container")
    return {(each["check"], each["subject"]): each for each in json.loads(ended.stdout)}


def test_the_doctor_examines_a_manager_and_what_it_knows_of_the_swarm(
    swarm_of_three: Swarm, tmp_path: Path
) -> None:
    with swarm_of_three.manager.client() as client:
        bridge = client.networks.create("of-one-node")
        try:
            found = _found(tmp_path, swarm_of_three.manager)
        finally:
            bridge.remove()
    assert "ok" == found["engine", ""]["status"]
    assert "skipped" == found["images", ""]["status"] == found["leftovers", ""]["status"]
    for network in ("no-such-network", "of-one-node"):
        wrong = found["networks", network]
        assert ("error", True) == (wrong["status"], "the Swarm has no such" in wrong["message"])
        assert f"`docker network create --driver overlay {network}`" in wrong["help"]
    assert "there: host" == found["networks", ""]["message"]


def test_the_doctor_says_that_a_worker_is_no_manager(swarm_of_three: Swarm, tmp_path: Path) -> None:
    wrong = _found(tmp_path, swarm_of_three.workers[0])["engine", ""]
    assert ("error", True) == (wrong["status"], "is a worker; let DOCKER_HOST" in wrong["message"])
