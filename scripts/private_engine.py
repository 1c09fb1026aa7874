"""A Docker Engine of our own, beside the machine's.

The tests kill and restart it, and the demo needs one where there is none; neither may touch
anybody's containers. It has its own containerd too: a daemon that finds a containerd on the
machine would share it, and ours has to survive its daemon's SIGKILL, as the machine's does.
"""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import docker
import docker.errors
import requests

from scripts import apt, daemons, engine_folder, engines, leftovers
from scripts.debian_root import Room
from scripts.progress import PrerequisiteError, tail

_START_SECONDS = 60.0
_TOOLS = {"mmdebstrap": "mmdebstrap"}
# `docker top` asks `ps`.
_OF_THE_ENGINE = {"dockerd": "docker.io", "ps": "procps"}
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def ensure_installed() -> None:
    """Installs the Engine and what makes images for it, where Debian's packages can be had."""
    _require_root()
    tools = _TOOLS if engines.root() else _TOOLS | _OF_THE_ENGINE
    missing = [package for tool, package in tools.items() if not _which(tool)]
    if missing:
        apt.install(*missing)


class PrivateEngine:
    """Starts, stops and kills an engine. `close()` removes everything of it."""

    KIND = "Docker"

    def __init__(self, directory: Path | None = None) -> None:
        """Prepares an engine whose data lies in `directory`, or in a temporary folder.

        Raises `PrerequisiteError` if an Engine of another kind was chosen: a result on
        this one would be taken for a result on that one.
        """
        _require_root()
        if engines.kind() != self.KIND:
            raise PrerequisiteError(f"{engines.VARIABLE}={engines.chosen()} is no {self.KIND}")
        engine_folder.sweep()
        self._run, self._lock = engine_folder.claim()
        self._data = (directory or self._run) / "data"
        self._data.mkdir(parents=True, exist_ok=True)
        if directory:
            (self._run / "data").symlink_to(self._data.resolve())
        self._room: Room | None = None
        self._containerd: subprocess.Popen[bytes] | None = None
        self._dockerd: subprocess.Popen[bytes] | None = None
        self._live_restore = False
        self._pass_fds: Sequence[int] = ()  # to child processes
        self._environment: Mapping[str, str] = {}  # of child processes
        atexit.register(self.close)
        if root := engines.root():
            self._room = Room(root)

    @property
    def socket(self) -> Path:
        """The path of the Engine's socket."""
        return self._run / "docker.sock"

    @property
    def host(self) -> str:
        """The DOCKER_HOST of this engine."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> str:
        """The logs of both daemons so far."""
        return engine_folder.log_of(self._run)

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command for a program of the Engine, which may run in another root."""
        if self._room:
            return self._room.command(program, *arguments)
        path = _which(program)
        if path is None:
            raise PrerequisiteError(f"{program} is missing: run `make test` or `make demo` as root")
        return [path, *arguments]

    def start(self) -> None:
        """Starts the daemons that do not run, and returns when the Engine answers."""
        if not daemons.runs(self._containerd):
            self._containerd = self._spawn(*daemons.containerd(self._run))
        if not daemons.runs(self._dockerd):
            daemons.write_settings(self._run, live_restore=self._live_restore)
            self._dockerd = self._spawn(*daemons.dockerd(self._run, self.host))
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Ends both daemons like a shutdown: the containers are stopped, the data stays."""
        self.thaw()
        daemons.end(self._dockerd, signal.SIGTERM)
        daemons.end(self._containerd, signal.SIGTERM)

    def stop_daemon(self) -> None:
        """Ends only the daemon, like `systemctl stop docker`."""
        daemons.end(self._dockerd, signal.SIGTERM)

    def kill(self) -> None:
        """Kills only the daemon, like a crash: the containers go on running."""
        daemons.end(self._dockerd, signal.SIGKILL)

    def restart(self) -> None:
        """Stops and starts it, with the same data and address."""
        self.stop()
        self.start()

    def live_restore(self, *, on: bool) -> None:
        """From now on, containers outlive the daemon, or end with it, which is the default."""
        self._live_restore = on
        daemons.write_settings(self._run, live_restore=on)
        if self._dockerd and daemons.runs(self._dockerd):
            self._dockerd.send_signal(signal.SIGHUP)
            self._wait_until_it_has_reloaded()

    def freeze(self) -> None:
        """Makes the daemon hang: it accepts connections and answers nothing."""
        if self._dockerd:
            daemons.hold(self._dockerd)

    def freeze_containerd(self) -> None:
        """Makes only containerd hang: the daemon answers, and starts and stops nothing."""
        if self._containerd:
            daemons.hold(self._containerd)

    def goroutines(self) -> str:
        """The goroutines of the daemon, or "" if it hangs and writes no dump."""
        if not self._dockerd or not daemons.runs(self._dockerd):
            return ""
        engine_folder.delete_dumps(self._run)
        self._dockerd.send_signal(signal.SIGUSR1)
        return engine_folder.read_dump(self._run)

    def thaw(self) -> None:
        """Continues frozen processes."""
        for daemon in (self._containerd, self._dockerd):
            if daemon:
                daemon.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends all processes of the engine, and deletes its files. May be repeated."""
        if not self._run.exists():
            return
        for pid in leftovers.workers(self._run.name):  # no graceful stop is needed
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop()
        engine_folder.erase(self._run)
        if self._room:
            self._room.close()
        os.close(self._lock)
        atexit.unregister(self.close)  # last, so that an interrupted close is repeated

    def __enter__(self) -> Self:
        """Starts it. A failed start leaves nothing behind."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """In a session of its own, so that Ctrl-C on the terminal reaches only us."""
        with (self._run / "log").open("ab") as log:
            return subprocess.Popen(
                self.command(program, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self._pass_fds,
                env={
                    **os.environ,
                    "PATH": f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}",
                    **self._environment,
                },
            )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self.host):
            if not daemons.runs(self._dockerd) or time.monotonic() > deadline:
                raise PrerequisiteError(f"A private Engine does not start:\n{tail(self.log)}")
            time.sleep(0.05)

    def _wait_until_it_has_reloaded(self) -> None:
        with contextlib.closing(docker.DockerClient(base_url=self.host)) as client:
            while client.info()["LiveRestoreEnabled"] is not self._live_restore:
                time.sleep(0.05)


def _answers(host: str) -> bool:
    try:
        client = docker.DockerClient(base_url=host, timeout=5)
    except (docker.errors.DockerException, requests.RequestException):
        return False
    client.close()
    return True


def _which(program: str) -> str | None:
    """Looks also in root's folders, which `su` without a login leaves out of the PATH."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")


def _require_root() -> None:
    if os.geteuid() != 0:
        raise PrerequisiteError("A private Docker Engine needs root: run this with sudo.")
