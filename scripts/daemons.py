"""Starts and stops the daemons of a private engine."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

from scripts import engine_folder

_STOP_SECONDS = 30.0

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


def containerd(run: Path) -> list[str]:
    """The command of the containerd of a folder, whose configuration this writes."""
    config = run / "containerd.toml"
    socket = engine_folder.containerd_socket(run)
    config.write_text(_CONTAINERD_CONFIG.format(run=run, socket=socket), encoding="utf-8")
    return ["containerd", "--config", str(config), "--log-level=warn"]


def dockerd(run: Path, host: str) -> list[str]:
    """The command of the dockerd of a folder."""
    (run / "pid").unlink(missing_ok=True)  # a killed daemon leaves it, and its pid is reused
    return [
        "dockerd",
        f"--config-file={run}/daemon.json",
        f"--containerd={engine_folder.containerd_socket(run)}",
        f"--data-root={run}/data",
        f"--exec-root={run}/x",
        f"--pidfile={run}/pid",
        f"--host={host}",
        f"--cgroup-parent={run.name}",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        "--bridge=none",
        "--iptables=false",
    ]


def write_settings(run: Path, *, live_restore: bool) -> None:
    """In a file of its own, and not the machine's, which dockerd would read otherwise."""
    settings = {"live-restore": live_restore}
    (run / "daemon.json").write_text(json.dumps(settings), encoding="ascii")


def runs(process: subprocess.Popen[bytes] | None) -> bool:
    """Whether the process exists."""
    return process is not None and process.poll() is None


def hold(process: subprocess.Popen[bytes]) -> None:
    """Stop a process, and wait until all of its threads have stopped."""
    process.send_signal(signal.SIGSTOP)
    with contextlib.suppress(ChildProcessError):  # it has ended
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def end(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
    """End a process that we started, with SIGKILL if it ignores the signal."""
    if process is None:
        return
    process.send_signal(number)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
