"""What a job may use, as the kernel sees it on a real Engine and on a Swarm."""

import asyncio

import pytest

from service.engine.workload_spec import Limits, Ulimit, WorkloadSpec
from service.errors import EngineRefused
from tests.engine import on_swarm
from tests.engine.inside import limits_of, mounted, output_of
from tests.engine.rigs import DockerRig, SwarmRig
from tests.support import worker

_TIMEOUT = 30.0
_MIB = 2**20
_LIMITS = Limits(
    memory=64 * _MIB,
    memory_reservation=32 * _MIB,
    shm_size=2 * _MIB,
    ulimits=(Ulimit("core", 0, 0), Ulimit("nofile", 64, 128)),
)
_SEEN = {
    "Max core file size": ("0", "0"),
    "Max open files": ("64", "128"),
}
# Of control groups of the first and of the second version.
_RESERVED = ("/sys/fs/cgroup/memory/memory.soft_limit_in_bytes", "/sys/fs/cgroup/memory.low")


async def _start(rig: DockerRig, limits: Limits) -> str:
    spec = WorkloadSpec(
        name="a-1", image=worker.IMAGE, arguments=(), labels=rig.selector, limits=limits
    )
    return (await rig.engine.start(spec, timeout=_TIMEOUT)).id


async def test_docker_limits_a_job_as_the_catalogue_says(docker_rig: DockerRig) -> None:
    workload_id = await _start(docker_rig, _LIMITS)
    pid = (await docker_rig.inspect(workload_id))["State"]["Pid"]
    assert _SEEN.items() <= limits_of(pid).items()
    assert "size=2048k" in mounted(pid, "/dev/shm")
    reserved = await output_of(docker_rig, workload_id, "cat", *_RESERVED)
    assert f"{32 * _MIB}\n" == reserved


async def test_a_limit_above_the_hosts_is_refused_by_its_key_and_nothing_is_left(
    docker_rig: DockerRig,
) -> None:
    most = 2**40  # above fs.nr_open, whatever the rights
    with pytest.raises(EngineRefused, match=r"error setting rlimit.*`ulimits` in the catalogue"):
        await _start(docker_rig, Limits(ulimits=(Ulimit("nofile", most, most),)))
    assert [] == list(await docker_rig.engine.list())


async def test_docker_has_defaults_for_what_the_catalogue_leaves_out(docker_rig: DockerRig) -> None:
    found = await docker_rig.inspect(await _start(docker_rig, Limits()))
    host = found["HostConfig"]
    assert (0, 64 * _MIB) == (host["MemoryReservation"], host["ShmSize"])
    assert not host["Ulimits"]


async def test_a_service_is_limited_as_the_catalogue_says(swarm_rig: SwarmRig) -> None:
    await on_swarm.start(swarm_rig, "a-1", limits=_LIMITS)
    found = await asyncio.to_thread(on_swarm.only_container, swarm_rig)
    pid = found["State"]["Pid"]
    assert _SEEN.items() <= limits_of(pid).items()
    options = mounted(pid, "/dev/shm").split()[3].split(",")
    assert "size=2048k" in options
    assert [] == [each for each in options if each.startswith("mode=")]  # the kernel's own, 1777
