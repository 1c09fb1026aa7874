"""What a job may do, as the kernel sees it on a real Engine."""

import asyncio
from pathlib import Path

import pytest

from service.engine.base import Confinement, Tmpfs, WorkloadSpec
from service.errors import EngineRefused
from tests.engine.rigs import DockerRig, until
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
    """The kernel's view of the worker, which is the child of its init (proc_pid_status(5))."""
    pid = (await rig.inspect(workload_id))["State"]["Pid"]
    await until(lambda: bool(_children(pid)))
    return _read_status(_children(pid)[0])


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _read_status(pid: str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: " ".join(rest.split()) for name, _, rest in (ln.partition(":") for ln in lines)}


async def _output_of(rig: DockerRig, workload_id: str, *command: str) -> str:
    def run() -> str:
        program = ["/bin/busybox", *command]
        made = rig.client.api.exec_create(workload_id, program, stderr=False)
        output: bytes = rig.client.api.exec_start(made["Id"])
        return output.decode()

    return await asyncio.to_thread(run)


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
    assert "/tmp\n/work/deep\n" == await _output_of(docker_rig, workload_id, "sh", "-c", write)
    mounts = await _output_of(docker_rig, workload_id, "cat", "/proc/self/mounts")
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
