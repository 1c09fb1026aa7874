"""A private Engine leaves nothing behind, in whatever state it ends."""

import hashlib
import os
import signal
from contextlib import closing, suppress
from pathlib import Path

import docker

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
