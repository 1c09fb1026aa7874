"""A Podman of our own, as `PrivateEngine` is a Docker of our own.

Its service is one process. The containers are no children of it, and run on whatever becomes of it;
so what a stop and a crash of Docker do to them, nothing here does.
"""

import contextlib
import resource
import subprocess
from pathlib import Path

from scripts import daemons
from scripts.private_engine import PrivateEngine

_REMOVE_SECONDS = 60.0
# Otherwise a build asks for 1,048,576 of each, even if the limit is lower.
_SETTINGS = (
    '[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n'
)
_REGISTRIES = '[[registry]]\nlocation = "127.0.0.1"\ninsecure = true\n'


class PrivatePodman(PrivateEngine):
    """Starts, stops and kills a service. `close()` removes everything of it."""

    KIND = "Podman"

    def start(self) -> None:
        """Starts the service, and returns when it answers."""
        if not daemons.runs(self._dockerd):
            self.socket.unlink(missing_ok=True)  # left by a killed service
            self._environment = {
                "CONTAINERS_CONF_OVERRIDE": str(self._settings()),
                "CONTAINERS_REGISTRIES_CONF": str(self._registries()),
            }
            self._dockerd = self._spawn(*self._podman("system", "service", "--time=0", self.host))
        self._wait_until_it_answers()

    def live_restore(self, *, on: bool) -> None:
        """Containers always outlive it."""

    def close(self) -> None:
        """Removes the containers, too."""
        if self._run.exists():
            self.thaw()
            command = self.command(*self._podman("rm", "--all", "--force", "--time=0"))
            with contextlib.suppress(subprocess.SubprocessError):
                subprocess.run(command, check=False, timeout=_REMOVE_SECONDS, capture_output=True)
        super().close()

    def _settings(self) -> Path:
        """A file with the limits that this machine has."""
        limits = {
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            "processes": resource.getrlimit(resource.RLIMIT_NPROC)[1],
        }
        file = self._run / "containers.conf"
        file.write_text(_SETTINGS.format(**limits), encoding="ascii")
        return file

    def _registries(self) -> Path:
        """A file with what Docker has by default: a registry on loopback needs no TLS."""
        file = self._run / "registries.conf"
        file.write_text(_REGISTRIES, encoding="ascii")
        return file

    def _podman(self, *words: str) -> list[str]:
        """The command for the containers of this one."""
        run = self._run
        return [
            "podman",
            f"--root={run}/data",
            f"--runroot={run}/r",
            f"--tmpdir={run}/t",
            "--cgroup-manager=cgroupfs",
            "--events-backend=file",
            "--runtime=runc",  # crun refuses control groups of both versions side by side
            *words,
        ]
