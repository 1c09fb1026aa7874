"""A private Engine leaves nothing behind, in whatever state it ends."""

import hashlib
import os
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts import engine_folder, leftovers
from scripts.private_engine import PrivateEngine, ensure_installed
from tests.support import containers, worker
from tests.support.supervised import eventually

_ROOT = Path(__file__).parents[2]
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


def test_nothing_stays_mounted_where_its_daemons_have_been_killed() -> None:
    ensure_installed()
    with PrivateEngine() as private, closing(docker.DockerClient(private.host)) as client:
        worker.make(client)
        containers.stranger(client, "runs")
        run = private.socket.parent
        assert f"{run}/x/netns/default" in leftovers.mounts_at(run)
        private.kill()
        private.freeze_containerd()
    assert [] == leftovers.mounts_at(run)
    assert not run.exists()


# What an owner does that is killed a moment later.
_OWNER = """\
import time
from contextlib import closing
import docker
from scripts.private_engine import PrivateEngine
from tests.support import containers, worker

private = PrivateEngine()
private.start()
with closing(docker.DockerClient(private.host)) as client:
    worker.make(client)
    containers.stranger(client, "runs")
print(private.socket.parent, flush=True)
time.sleep(600)
"""


def test_the_next_one_clears_away_what_a_killed_owner_has_left_and_nothing_else(
    engine: PrivateEngine,
) -> None:
    ours = engine.socket.parent
    before = leftovers.mounts_at(ours)
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        run = Path(owner.stdout.readline().strip())
        assert leftovers.mounts_at(run)
        assert leftovers.workers(run.name)
        engine_folder.sweep()
        assert leftovers.daemons(run)  # its owner lives
        owner.kill()
    engine_folder.sweep()
    eventually(lambda: not run.exists(), within=60)  # another run may be sweeping
    assert [] == leftovers.mounts_at(run) + leftovers.daemons(run) + leftovers.workers(run.name)
    assert before == leftovers.mounts_at(ours)


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
