"""What a job may do, as the kernel sees it on a real Engine."""

import asyncio
from pathlib import Path

import pytest

from service.engine.configuration import Trait
from service.engine.workload_spec import Confinement, Tmpfs, WorkloadSpec
from service.errors import EngineRefused
from tests.engine import on_swarm
from tests.engine.inside import mounted, output_of
from tests.engine.rigs import DockerRig, SwarmRig, until
from tests.support import broken, worker

_TIMEOUT = 30.0
_PRIVATE = "supervisor-test-private"
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_NONE = "0" * 16
_CHOWN, _BIND = 1 << 0, 1 << 10  # linux/capability.h


async def _start(
    rig: DockerRig, confinement: Confinement, name: str = "a-1", image: str = worker.IMAGE
) -> str:
    spec = WorkloadSpec(
        name=name, image=image, arguments=(), labels=rig.selector, confinement=confinement
    )
    return (await rig.engine.start(spec, timeout=_TIMEOUT)).id


async def _status(rig: DockerRig, workload_id: str) -> dict[str, str]:
    """The kernel's view of the worker (proc_pid_status(5))."""
    return await _status_of((await rig.inspect(workload_id))["State"]["Pid"])


async def _status_of(pid: int) -> dict[str, str]:
    """Of the child of an init."""
    await until(lambda: bool(_children(pid)))
    return _read_status(_children(pid)[0])


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _read_status(pid: str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: " ".join(rest.split()) for name, _, rest in (ln.partition(":") for ln in lines)}


@pytest.mark.parametrize(("asked", "seen"), [(None, "1"), (True, "1"), (False, "0")])
async def test_no_program_of_a_job_gains_privileges_unless_the_catalogue_allows_it(
    docker_rig: DockerRig, asked: bool | None, seen: str
) -> None:
    workload_id = await _start(docker_rig, Confinement(no_new_privileges=asked))
    assert seen == (await _status(docker_rig, workload_id))["NoNewPrivs"]


async def test_a_worker_of_an_ordinary_user_has_no_capability_that_could_be_dropped(
    docker_rig: DockerRig,
) -> None:
    """So Area's catalogue takes nothing from Area's workers, whose images all have a USER."""
    before = await _status(docker_rig, await _start(docker_rig, Confinement(user="8877")))
    assert ("8877 8877 8877 8877", _NONE) == (before["Uid"], before["CapEff"])
    assert _NONE != before["CapBnd"]  # what a setuid program could get
    dropped = Confinement(user="8877", cap_drop=("ALL",))
    after = await _status(docker_rig, await _start(docker_rig, dropped, "a-2"))
    assert {_NONE} == {after[name] for name in _CAPABILITIES}


async def test_a_worker_of_root_has_the_capabilities_that_the_catalogue_leaves(
    docker_rig: DockerRig,
) -> None:
    confinement = Confinement(cap_drop=("ALL",), cap_add=("NET_BIND_SERVICE", "CHOWN"))
    seen = await _status(docker_rig, await _start(docker_rig, confinement))
    assert f"{_CHOWN | _BIND:016x}" == seen["CapEff"] == seen["CapBnd"]


async def test_a_read_only_worker_writes_to_its_folders_in_memory_alone(
    docker_rig: DockerRig,
) -> None:
    folders = (Tmpfs("/tmp"), Tmpfs("/work/deep", size=2**20, mode=0o1777))
    confinement = Confinement(user="8877:8877", read_only=True, tmpfs=folders)
    workload_id = await _start(docker_rig, confinement)
    write = "for folder in /tmp /work/deep /; do echo x > $folder/x && echo $folder; done"
    assert "/tmp\n/work/deep\n" == await output_of(docker_rig, workload_id, "sh", "-c", write)
    mounts = await output_of(docker_rig, workload_id, "cat", "/proc/self/mounts")
    (deep,) = (line for line in mounts.splitlines() if " /work/deep " in line)
    assert "size=1024k" in deep
    assert "noexec" in deep


@pytest.mark.parametrize("user", ["no-such-user", "0:no-such-group"])
async def test_a_user_that_the_image_does_not_have_is_refused_with_a_hint_and_nothing_is_left(
    docker_rig: DockerRig, user: str
) -> None:
    with pytest.raises(EngineRefused, match=r"no-such-.*a number needs no entry there"):
        await _start(docker_rig, Confinement(user=user))
    assert [] == list(await docker_rig.engine.list())


async def test_a_program_that_its_user_may_not_run_is_refused_with_a_hint(
    docker_rig: DockerRig,
) -> None:
    private = broken.entrypoint("/private")
    files = {"private": (0o700, broken.busybox())}
    await asyncio.to_thread(broken.make, docker_rig.client, _PRIVATE, private, files=files)
    with pytest.raises(EngineRefused, match="Permission denied; `user` or `cap_drop`"):
        await _start(docker_rig, Confinement(user="8877"), image=_PRIVATE)
    assert [] == list(await docker_rig.engine.list())


# On a Swarm


async def test_a_service_may_do_what_the_catalogue_says(swarm_rig: SwarmRig) -> None:
    gains = bool(await swarm_rig.engine.traits())
    confinement = Confinement(
        user="8877:8878",
        read_only=True,
        cap_drop=("ALL",),
        cap_add=("CHOWN",),
        tmpfs=(Tmpfs("/work", size=2**20, mode=0o700), Tmpfs("/tmp")),
    )
    await on_swarm.start(swarm_rig, "a-1", confinement=confinement)
    found = await asyncio.to_thread(on_swarm.only_container, swarm_rig)
    seen = await _status_of(found["State"]["Pid"])
    assert ("8877", "8878") == (seen["Uid"].split()[0], seen["Gid"].split()[0])
    assert f"{_CHOWN:016x}" == seen["CapBnd"]
    assert ("0" if gains else "1") == seen["NoNewPrivs"]
    assert found["HostConfig"]["ReadonlyRootfs"]
    work, tmp = (mounted(found["State"]["Pid"], path) for path in ("/work", "/tmp"))
    assert {"size=1024k", "mode=700", "noexec"} <= {*work.split()[3].split(",")}
    assert "noexec" in tmp


async def test_a_service_has_the_capabilities_and_the_user_that_it_had(swarm_rig: SwarmRig) -> None:
    await on_swarm.start(swarm_rig, "a-1")
    found = await asyncio.to_thread(on_swarm.only_container, swarm_rig)
    seen = await _status_of(found["State"]["Pid"])
    assert "0 0 0 0" == seen["Uid"]
    assert _NONE != seen["CapEff"]


async def test_what_a_swarm_cannot_keep_from_new_privileges_is_refused_where_that_is_asked_for(
    swarm_rig: SwarmRig,
) -> None:
    start = on_swarm.start(swarm_rig, "a-1", confinement=Confinement(no_new_privileges=True))
    if Trait.GAINS_PRIVILEGES not in await swarm_rig.engine.traits():
        await start
        found = await asyncio.to_thread(on_swarm.only_container, swarm_rig)
        assert "1" == (await _status_of(found["State"]["Pid"]))["NoNewPrivs"]
        return
    with pytest.raises(EngineRefused, match=r"no_new_privileges: .*Docker 25"):
        await start
    assert [] == list(await swarm_rig.engine.list())
