"""What an Engine leaves to be seen inside a container tells which one it is."""

import asyncio
from pathlib import Path

import pytest

from service.engine.docker.own_container import find_own_container
from tests.engine.rigs import DockerRig
from tests.support import worker

_BETWEEN = "-----\n"
_SHOW = f"cat /proc/self/mountinfo; echo {_BETWEEN}cat /proc/self/cgroup; echo {_BETWEEN}hostname"


@pytest.mark.parametrize("network", ["host", "none"])
async def test_a_container_knows_its_own_id(
    docker_rig: DockerRig, tmp_path: Path, network: str
) -> None:
    def run() -> tuple[str, list[str]]:
        container = docker_rig.client.containers.create(
            worker.IMAGE,
            entrypoint=["/bin/busybox", "sh", "-c"],
            command=[_SHOW],
            network_mode=network,
            init=True,
        )
        container.start()
        container.wait()
        return str(container.id), container.logs().decode().split(_BETWEEN)

    container_id, (mounts, groups, hostname) = await asyncio.to_thread(run)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(mounts)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    here = find_own_container(tmp_path, hostname.strip())
    assert here.may_be(container_id)
    assert not here.may_be("0" * 64)
