"""What a program finds in its container, as the kernel and a shell in there tell it."""

import asyncio
from pathlib import Path

from tests.engine.rigs import DockerRig


async def output_of(rig: DockerRig, workload_id: str, *command: str) -> str:
    """What a command of Busybox prints in a container."""

    def run() -> str:
        program = ["/bin/busybox", *command]
        made = rig.client.api.exec_create(workload_id, program, stderr=False)
        output: bytes = rig.client.api.exec_start(made["Id"])
        return output.decode()

    return await asyncio.to_thread(run)


def limits_of(pid: int) -> dict[str, tuple[str, str]]:
    """The soft and the hard limit of a process, by their names in proc_pid_limits(5)."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): (line[26:47].strip(), line[47:68].strip()) for line in lines}


def mounted(pid: int, folder: str) -> str:
    """What proc_pid_mounts(5) has of a folder."""
    lines = Path(f"/proc/{pid}/mounts").read_text().splitlines()
    return next(line for line in lines if line.split()[1] == folder)
