"""Two supervisors' adapters launch and kill the same things at the same time."""

import asyncio
import random
import secrets
import time

import pytest

from service.engine.base import Status, WorkloadSpec
from service.engine.swarm.engine import SwarmEngine
from service.errors import NameTaken
from tests.engine.rigs import SwarmRig
from tests.support import worker
from tests.support.node_events import watching

_LABEL = "test.identifier"
_IDENTIFIERS = 20
_CLIENTS = 16
_SECONDS = 60.0

pytestmark = pytest.mark.timeout(300)


async def _launch(engine: SwarmEngine, rig: SwarmRig, identifier: str) -> str:
    labels = rig.selector | {_LABEL: identifier, "test.launch": secrets.token_hex(8)}
    spec = WorkloadSpec(name=identifier, image=worker.IMAGE, arguments=[], labels=labels)
    try:
        return (await engine.start(spec, timeout=60)).id
    except NameTaken as taken:
        return taken.holder or ""


async def _play(engine: SwarmEngine, rig: SwarmRig, chance: random.Random, until: float) -> None:
    while time.monotonic() < until:
        identifier = f"job-{chance.randrange(_IDENTIFIERS)}"
        workload_id = await _launch(engine, rig, identifier)
        await asyncio.sleep(chance.uniform(0, 0.5))
        if chance.random() < 0.7:
            await engine.remove(workload_id, force=True)


async def test_an_identifier_runs_once_at_any_time_whoever_launches_and_kills(
    rig_of_three: SwarmRig,
) -> None:
    engines = [rig_of_three.engine_at(rig_of_three.swarm.manager) for _ in range(2)]
    with watching(rig_of_three.swarm.nodes, _LABEL) as running:
        until = time.monotonic() + _SECONDS
        await asyncio.gather(
            *(_play(engines[n % 2], rig_of_three, random.Random(n), until) for n in range(_CLIENTS))
        )
        lists = [await engine.list() for engine in engines]
    assert running.starts > _IDENTIFIERS
    assert {1} == set(running.most_at_once().values())
    live = [{w.id for w in each if w.status is Status.LIVE} for each in lists]
    assert live[0] == live[1]
    for engine in engines:
        await engine.close()
