"""What an Engine leaves to be seen inside a container tells which one it is."""

import asyncio
from pathlib import Path

import pytest

from service.engine.docker.own_container import OwnContainer, find_own_container
from tests.engine.rigs import DockerRig
from tests.support import worker

_BETWEEN = "-----\n"
_SHOW = f"cat /proc/self/mountinfo; echo {_BETWEEN}cat /proc/self/cgroup; echo {_BETWEEN}hostname"


async def _look(rig: DockerRig, folder: Path, network: str) -> tuple[str, OwnContainer]:
    """A container's id, and what a process in it would find out."""

    def run() -> tuple[str, list[str]]:
        container = rig.client.containers.create(
            worker.IMAGE,
            entrypoint=["/bin/busybox", "sh", "-c"],
            command=[_SHOW],
            network_mode=network,
            labels=rig.selector,
            init=True,
        )
        container.start()
        container.wait()
        return str(container.id), container.logs().decode().split(_BETWEEN)

    container_id, (mounts, groups, hostname) = await asyncio.to_thread(run)
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/mountinfo").write_text(mounts)
    (folder / "proc/self/cgroup").write_text(groups)
    return container_id, find_own_container(folder, hostname.strip())


@pytest.mark.parametrize("network", ["host", "none"])
async def test_a_container_knows_its_own_id(
    docker_rig: DockerRig, tmp_path: Path, network: str
) -> None:
    container_id, here = await _look(docker_rig, tmp_path, network)
    assert here.may_be(container_id)
    assert not here.may_be("0" * 64)


async def test_a_container_with_the_network_of_another_knows_itself_among_those_listed(
    docker_rig: DockerRig, tmp_path: Path
) -> None:
    """Docker lists whose network it has. Podman does not, and leaves a file with its own id."""
    other = await docker_rig.stranger("other")
    container_id, here = await _look(docker_rig, tmp_path, f"container:{other}")
    (own,) = await docker_rig.engine.list()
    assert container_id == own.id
    assert here.may_be(own.id, own.network_of)
