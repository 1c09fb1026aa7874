"""Three managers: one dies while it leads, and too few are left."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from scripts.private_engine import ensure_installed
from service.engine.base import Status, WorkloadSpec
from service.engine.swarm.engine import SwarmEngine
from service.errors import EngineError, EngineTimeout, EngineUnavailable
from tests.engine.rigs import SwarmRig, until_async
from tests.support import worker
from tests.support.node_events import watching
from tests.support.swarm import Swarm, a_swarm

_LABEL = "test.identifier"
_LAUNCHES = 20
_ELECTION = 60.0  # seconds, on a busy machine

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def managers() -> Iterator[Swarm]:
    """A Swarm of three managers."""
    ensure_installed()
    with a_swarm(managers=3) as made:
        yield made


@pytest.fixture
async def rig(managers: Swarm) -> AsyncIterator[SwarmRig]:
    """The first manager leads."""
    made = SwarmRig(managers)
    yield made
    for node in managers.nodes:
        await asyncio.to_thread(node.start)
    await asyncio.to_thread(managers.wait_until_ready)
    await asyncio.to_thread(managers.clear)
    await made.engine.close()


def _spec(rig: SwarmRig, name: str, launch: str = "") -> WorkloadSpec:
    labels = rig.selector | {_LABEL: name, "test.launch": launch or secrets.token_hex(8)}
    return WorkloadSpec(name=name, image=worker.IMAGE, arguments=[], labels=labels)


async def _launch(engine: SwarmEngine, rig: SwarmRig, name: str) -> str:
    """As a launcher does it: the same launch again, as long as nobody can tell."""
    spec, end = _spec(rig, name), time.monotonic() + _ELECTION
    while True:
        try:
            return (await engine.start(spec, timeout=30)).id
        except (EngineUnavailable, EngineTimeout):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)


async def test_launches_survive_the_death_of_the_leader(rig: SwarmRig) -> None:
    swarm = rig.swarm
    engine = rig.engine_at(swarm.managers[1])
    names = [f"a-{number}" for number in range(_LAUNCHES)]
    with watching(swarm.managers[1:], _LABEL) as running:
        launches = [asyncio.create_task(_launch(engine, rig, name)) for name in names]
        await asyncio.wait(launches, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(swarm.manager.lose_power)
        ids = await asyncio.gather(*launches)
    assert len(names) == len(set(ids))
    assert {1} >= set(running.most_at_once().values())
    listed = {w.id: w.status for w in await engine.list()}
    assert set(ids) == set(listed)
    await engine.close()


async def test_without_a_quorum_nothing_is_launched_and_all_is_well_afterwards(
    rig: SwarmRig,
) -> None:
    swarm = rig.swarm
    engine = rig.engine_at(swarm.managers[1])
    service_id, _ = await engine.start(_spec(rig, "a-1"), timeout=30)
    for node in (swarm.managers[0], swarm.managers[2]):
        await asyncio.to_thread(node.kill)

    async def tells_no_leader() -> bool:
        try:
            await engine.ping(deep=True)
        except EngineUnavailable:
            return True
        except EngineError:
            return False
        return False

    await until_async(tells_no_leader, within=_ELECTION)
    with pytest.raises((EngineUnavailable, EngineTimeout)):
        await engine.start(_spec(rig, "a-2"), timeout=10)
    for node in (swarm.managers[0], swarm.managers[2]):
        await asyncio.to_thread(node.start)

    async def answers() -> bool:
        try:
            await engine.ping(deep=True)
        except EngineError:
            return False
        return True

    await until_async(answers, within=_ELECTION)
    await _launch(engine, rig, "a-3")
    names = {w.name for w in await engine.list() if w.status is Status.LIVE}
    assert "a-3" in names
    assert service_id in {w.id for w in await engine.list()}
    await engine.close()
