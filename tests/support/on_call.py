"""A shell as somebody on call has it, on a machine with a supervisor."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import Signals
from typing import Self

import docker
from docker.models.containers import Container

from tests.support import worker
from tests.support.supervised import COMMAND, Supervised, eventually

ROOT = Path(__file__).parents[2]


class InContainer(Supervised):
    """A supervisor in a container that is called as compose calls it, with this Python in it."""

    def __init__(
        self, directory: Path, environment: Mapping[str, str], client: docker.DockerClient
    ) -> None:
        super().__init__(directory, environment)
        socket = environment["DOCKER_HOST"].removeprefix("unix://")
        needed = {"/usr", "/lib", "/lib64", sys.base_prefix, sys.prefix, str(ROOT), str(directory)}
        self.container: Container = client.containers.create(
            worker.IMAGE,
            name="area_supervisor",
            entrypoint=[COMMAND, "serve"],
            environment=dict(self._environment),
            network_mode="host",
            volumes={path: {"bind": path, "mode": "ro"} for path in needed if Path(path).exists()}
            | {socket: {"bind": socket, "mode": "rw"}},
        )

    def start(self, *, ready: bool = True, **environment: str) -> Self:
        """Start the container, which keeps its settings."""
        assert not environment
        self.container.start()
        if ready:
            eventually(self.is_ready, within=60)
        return self

    def stop(self, number: Signals = Signals.SIGTERM, *, within: float = 20.0) -> int:
        """Signal the process and wait for its end; its exit code."""
        self.container.kill(int(number))
        return int(self.container.wait(timeout=within)["StatusCode"])

    def log(self) -> str:
        """Everything that it has printed."""
        return str(self.container.logs().decode())

    @property
    def pid(self) -> int:
        """Its process, as the host numbers it."""
        self.container.reload()
        return int(self.container.attrs["State"]["Pid"])


class Shell:
    """Runs commands of the documents as they stand, but for what `replaced` names.

    Programs that cannot be had stand in the folder `tools`: grpcurl, and systemd's, which have no
    systemd to ask. journalctl's options are tried on the real one; then it tells the log.
    """

    def __init__(self, tools: Path, supervised: Supervised, engine: str, pid: int) -> None:
        tools.mkdir()
        (tools / "journal").mkdir()
        self._directory = tools
        self.pid = pid
        self._environment = {"PATH": f"{tools}:{os.environ['PATH']}", "DOCKER_HOST": engine}
        address = f"AREA_SUPERVISOR_SERVER=127.0.0.1:{supervised.port}"
        self.replaced = {
            "localhost:9464": f"127.0.0.1:{supervised.metrics_port}",
            "sport = :9464": f"sport = :{supervised.metrics_port}",
            "localhost:50051": f"127.0.0.1:{supervised.port}",
            "/var/log/area_supervisor.log": str(supervised.log_file),
            " IMAGE ": f" {worker.IMAGE} ",
            "/var/lib/docker": "$(docker info --format '{{.DockerRootDir}}')",
            "exec -i $tty area_supervisor area-supervisor": (
                f"exec -i -e {address} $tty area_supervisor {COMMAND}"
            ),
            "/opt/area-supervisor/.venv/bin/area-supervisor": f"{address} {COMMAND}",
            "{ .venv/bin/area-supervisor": f"{{ {address} {COMMAND}",
        }
        tried = f'{shutil.which("journalctl")} --directory {tools}/journal "$@" >/dev/null 2>&1'
        self._tool("journalctl", f"{tried} && exec cat {supervised.log_file}")
        self._tool("area-supervisor", f'exec {COMMAND} "$@"')
        self._tool("systemctl", f"echo {pid}")
        self._tool("grpcurl", f'cd {ROOT} && exec {sys.executable} -m tests.support.grpcurl "$@"')

    def _tool(self, name: str, text: str) -> None:
        path = self._directory / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self, *lines: str) -> subprocess.CompletedProcess[str]:
        """Run lines one after the other."""
        text = "\n".join(("set -o pipefail", *lines))
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        return subprocess.run(
            ["bash", "-c", text],
            env=self._environment,
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
