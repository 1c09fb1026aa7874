"""A Docker Engine of our own, beside the machine's.

The tests kill and restart it, and the demo needs one where there is none; neither may touch
anybody's containers. It has its own containerd too: a daemon that finds a containerd on the
machine would share it, and ours has to survive its daemon's SIGKILL, as the machine's does.
"""

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import docker
import docker.errors
import requests

from scripts import apt, engine_folder, leftovers
from scripts.progress import PrerequisiteError, tail

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_TOOLS = {"dockerd": "docker.io", "mmdebstrap": "mmdebstrap", "/bin/busybox": "busybox-static"}
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_CONTAINERD_CONFIG = """\
version = 2
root = "{run}/data/containerd"
state = "{run}/c"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{run}/opt"
"""


def ensure_installed() -> None:
    """Installs the Engine and what makes images for it, where Debian's packages can be had."""
    _require_root()
    missing = [package for tool, package in _TOOLS.items() if not _which(tool)]
    if missing:
        apt.install(*missing)


class PrivateEngine:
    """Starts, stops and kills one engine; `close()` removes all that was its own."""

    def __init__(self, directory: Path | None = None, *, live_restore: bool = False) -> None:
        """Prepares an engine whose data lies in `directory`, or in a temporary folder.

        With `live_restore` its containers run on while it is away.
        """
        _require_root()
        engine_folder.sweep()
        self._run, self._lock = engine_folder.claim()
        self._data = (directory or self._run) / "data"
        self._data.mkdir(parents=True, exist_ok=True)
        if directory:
            (self._run / "data").symlink_to(self._data.resolve())
        self._containerd: subprocess.Popen[bytes] | None = None
        self._dockerd: subprocess.Popen[bytes] | None = None
        self._live_restore = live_restore
        self._pass_fds: Sequence[int] = ()  # to what is started
        atexit.register(self.close)

    @property
    def socket(self) -> Path:
        """Where the Engine's socket is, to be mounted into a container."""
        return self._run / "docker.sock"

    @property
    def host(self) -> str:
        """What DOCKER_HOST is for this engine."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> str:
        """What both daemons have said so far."""
        return engine_folder.log_of(self._run)

    def start(self) -> None:
        """Starts what is not running, and returns when the Engine answers."""
        if not _runs(self._containerd):
            self._start_containerd()
        if not _runs(self._dockerd):
            self._start_dockerd()
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Ends both daemons as a shutdown does: the containers are stopped, the data stays."""
        self.thaw()
        _end(self._dockerd, signal.SIGTERM)
        _end(self._containerd, signal.SIGTERM)

    def stop_daemon(self) -> None:
        """Ends the daemon alone, as `systemctl stop docker` does."""
        _end(self._dockerd, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL of the daemon alone, as in a crash: the containers run on."""
        _end(self._dockerd, signal.SIGKILL)

    def restart(self) -> None:
        """A stop and a start, with the same data and at the same address."""
        self.stop()
        self.start()

    def live_restore(self, *, on: bool) -> None:
        """From now on, containers outlive the daemon, or end with it, which is the default."""
        self._live_restore = on
        self._write_settings()
        if self._dockerd and _runs(self._dockerd):
            self._dockerd.send_signal(signal.SIGHUP)
            self._wait_until_it_has_reloaded()

    def freeze(self) -> None:
        """Makes the daemon hang: it accepts connections and answers nothing."""
        if self._dockerd:
            _hold(self._dockerd)

    def freeze_containerd(self) -> None:
        """Makes only containerd hang: the daemon answers, and starts and stops nothing."""
        if self._containerd:
            _hold(self._containerd)

    def goroutines(self) -> str:
        """What the daemon is at, by its own account; empty if it hangs, and gives none."""
        if not self._dockerd or not _runs(self._dockerd):
            return ""
        engine_folder.forget_accounts(self._run)
        self._dockerd.send_signal(signal.SIGUSR1)
        return engine_folder.account_of(self._run)

    def thaw(self) -> None:
        """Lets what is frozen go on."""
        for daemon in (self._containerd, self._dockerd):
            if daemon:
                daemon.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends everything that was started here, and deletes what it wrote. May be repeated."""
        if not self._run.exists():
            return
        for pid in leftovers.workers(self._run.name):  # nobody is left to say goodbye to
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop()
        engine_folder.erase(self._run)
        os.close(self._lock)
        atexit.unregister(self.close)  # and not before: what is interrupted is begun anew

    def __enter__(self) -> Self:
        """Starts it; a start that fails leaves nothing either."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes it."""
        self.close()

    def _start_containerd(self) -> None:
        config = self._run / "containerd.toml"
        socket = engine_folder.containerd_socket(self._run)
        text = _CONTAINERD_CONFIG.format(run=self._run, socket=socket)
        config.write_text(text, encoding="utf-8")
        self._containerd = self._spawn("containerd", "--config", str(config), "--log-level=warn")

    def _write_settings(self) -> None:
        """In a file of its own, and not the machine's, which dockerd would read otherwise."""
        settings = {"live-restore": self._live_restore}
        (self._run / "daemon.json").write_text(json.dumps(settings), encoding="ascii")

    def _start_dockerd(self) -> None:
        run = self._run
        (run / "pid").unlink(missing_ok=True)  # a killed daemon leaves it, and its pid is reused
        self._write_settings()
        self._dockerd = self._spawn(
            "dockerd",
            f"--config-file={run}/daemon.json",
            f"--containerd={engine_folder.containerd_socket(run)}",
            f"--data-root={run}/data",
            f"--exec-root={run}/x",
            f"--pidfile={run}/pid",
            f"--host={self.host}",
            f"--cgroup-parent={run.name}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--bridge=none",
            "--iptables=false",
        )

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """In a session of its own, so that Ctrl-C on the terminal reaches only us."""
        path = _which(program)
        if path is None:
            raise PrerequisiteError(f"{program} is missing: run `make test` or `make demo` as root")
        with (self._run / "log").open("ab") as log:
            return subprocess.Popen(
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self._pass_fds,
                env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"},
            )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self.host):
            if not _runs(self._dockerd) or time.monotonic() > deadline:
                raise PrerequisiteError(f"A private Engine does not start:\n{tail(self.log)}")
            time.sleep(0.05)

    def _wait_until_it_has_reloaded(self) -> None:
        with contextlib.closing(docker.DockerClient(base_url=self.host)) as client:
            while client.info()["LiveRestoreEnabled"] is not self._live_restore:
                time.sleep(0.05)


def _runs(process: subprocess.Popen[bytes] | None) -> bool:
    return process is not None and process.poll() is None


def _hold(process: subprocess.Popen[bytes]) -> None:
    """Stops all threads of it. A signal alone is under way for a while on a busy machine."""
    process.send_signal(signal.SIGSTOP)
    with contextlib.suppress(ChildProcessError):  # it has ended
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def _end(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
    """Ends a process that we started, with SIGKILL if it does not follow the signal."""
    if process is None:
        return
    process.send_signal(number)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(host: str) -> bool:
    try:
        client = docker.DockerClient(base_url=host, timeout=5)
    except (docker.errors.DockerException, requests.RequestException):
        return False
    client.close()
    return True


def _which(program: str) -> str | None:
    """Also where only root's PATH looks, which `su` without a login does not set."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")


def _require_root() -> None:
    if os.geteuid() != 0:
        raise PrerequisiteError("A private Docker Engine needs root: run this with sudo.")
