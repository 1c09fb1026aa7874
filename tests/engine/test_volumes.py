"""The anonymous volumes of an image go with each container, in every way that an adapter has."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.errors import EngineRefused
from tests.engine import on_swarm
from tests.engine.rigs import DockerRig, SwarmRig, until_async
from tests.engine.test_contract import a_spec, exited, set_aside, start
from tests.support import volumes
from tests.support.volumes import Volumes

_Remove = Callable[[DockerRig, str], Awaitable[None]]


async def _once_it_has_ended(rig: DockerRig, workload_id: str) -> None:
    await rig.kill_by_hand(workload_id, 9)
    await exited(rig, workload_id)
    assert await rig.engine.remove(workload_id)


async def _by_force(rig: DockerRig, workload_id: str) -> None:
    assert await rig.engine.remove(workload_id, force=True)


async def _once_it_was_set_aside(rig: DockerRig, workload_id: str) -> None:
    await set_aside(rig, workload_id)
    await _by_force(rig, workload_id)


@pytest.mark.parametrize("remove", [_once_it_has_ended, _by_force, _once_it_was_set_aside])
async def test_docker_removes_a_container_with_its_volume(
    docker_rig: DockerRig, remove: _Remove
) -> None:
    await asyncio.to_thread(volumes.make, docker_rig.client)
    left = Volumes(docker_rig.client)
    workload_id = await start(docker_rig, "a-1", image=volumes.IMAGE)
    assert 1 == len(left)
    await remove(docker_rig, workload_id)
    assert 0 == len(left)


@pytest.mark.parametrize(
    "refused", [{"image": volumes.BROKEN}, {"image": volumes.IMAGE, "network": "no-such-network"}]
)
async def test_docker_leaves_no_volume_of_a_start_that_is_refused(
    docker_rig: DockerRig, refused: dict[str, str]
) -> None:
    await asyncio.to_thread(volumes.make, docker_rig.client)
    left = Volumes(docker_rig.client)
    with pytest.raises(EngineRefused):
        await docker_rig.engine.start(a_spec(docker_rig, "a-1", **refused), timeout=30.0)
    assert [] == list(await docker_rig.engine.list())
    assert 0 == len(left)


async def test_a_swarm_removes_a_service_with_the_volume_of_its_container(
    swarm_rig: SwarmRig,
) -> None:
    with swarm_rig.swarm.manager.client() as client:
        await asyncio.to_thread(volumes.make, client)
        left = Volumes(client)
        service_id = await on_swarm.start(swarm_rig, "a-1", image=volumes.IMAGE)
        assert 1 == len(left)
        assert await swarm_rig.engine.remove(service_id, force=True)

        async def is_gone() -> bool:  # its node removes it a moment later
            return len(left) == 0

        await until_async(is_gone, within=60.0)
