"""A private Engine leaves nothing behind, in whatever state it ends."""

import hashlib
import os
import signal
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts import leftovers
from scripts.private_engine import PrivateEngine, ensure_installed
from tests.support import containers, worker

_SOCKETS = Path("/run/containerd/s")


def _kill_shims(run: Path) -> None:
    for pid in leftovers.daemons(run):
        with suppress(FileNotFoundError, ProcessLookupError):  # it may have just gone
            if b"-shim" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                os.kill(pid, signal.SIGKILL)


def test_the_socket_of_a_shim_whose_folder_is_gone_is_removed() -> None:
    # What is left of an Engine that dies while it starts a container.
    ensure_installed()
    with PrivateEngine() as private, closing(docker.DockerClient(private.host)) as client:
        worker.make(client)
        made = str(containers.stranger(client, "left").id)
        run = private.socket.parent
        (address,) = run.glob(f"**/moby/{made}/address")
        address.unlink()
        _kill_shims(run)
        with (run / "log").open("a") as log:
            log.write(f'level=error msg="failed to start shim" id={made}\n')
        digest = hashlib.sha256(f"{run}/c.sock/moby/{made}".encode()).hexdigest()
        assert (_SOCKETS / digest).exists()
    assert not (_SOCKETS / digest).exists()
    assert not run.exists()


def test_control_groups_that_vanish_meanwhile_are_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a/theirs/b", "a/ours/b/c", "ours"):
        (tmp_path / folder).mkdir(parents=True)
    scan = os.scandir

    def vanishing(folder: Any) -> Any:
        if str(folder).endswith("theirs"):
            raise FileNotFoundError(folder)
        return scan(folder)

    monkeypatch.setattr(leftovers, "_CGROUPS", tmp_path)
    monkeypatch.setattr(os, "scandir", vanishing)
    leftovers.remove_groups("ours")
    monkeypatch.undo()
    assert ["a", "a/theirs", "a/theirs/b"] == sorted(
        str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")
    )
