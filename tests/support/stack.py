"""examples/swarm/stack.yml, deployed on a Swarm of the tests."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from tests.support import catalog, worker
from tests.support.swarm import Swarm, SwarmNode

_STACK = Path(__file__).parents[2] / "examples" / "swarm" / "stack.yml"
_NAME = "area"
NETWORK, BACKEND = "area", "backend"
"""The network that jobs are on, and the backend's name in there."""
_SOCKET = "/var/run/docker.sock"
# A shell that has the look-ups of a container, and becomes what follows.
_LOOKS_UP = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


class Stack:
    """A stack that is deployed, and what Swarm tells of its service."""

    def __init__(self, swarm: Swarm, folder: Path, image: str) -> None:
        self._node, self._folder = swarm.manager, folder
        self._environment = {"SUPERVISOR_IMAGE": image, "GRPC_CALLBACK_HOST": BACKEND}
        self._file = folder / "swarm" / "stack.yml"
        self._file.parent.mkdir()
        (folder / "catalog.toml").write_text(catalog.TEXT)
        self._file.write_text(_with_sockets(_STACK.read_text(), swarm, folder))

    def docker(self, *words: str) -> str:
        """What a command of Docker's prints, at the first manager."""
        done = subprocess.run(
            self._node.command("docker", *words),
            env={
                "PATH": os.environ["PATH"],
                "DOCKER_HOST": self._node.host,
                "DOCKER_CONFIG": str(self._folder),
                **self._environment,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def deploy(self) -> None:
        """As the comment at the top of the file says it."""
        self.docker("network", "create", "--driver", "overlay", "--attachable", NETWORK)
        self.docker(
            *("stack", "deploy", "--compose-file", str(self._file), "--with-registry-auth"), _NAME
        )

    def remove(self) -> None:
        """Remove the stack. Its containers end later, and its network may have jobs."""
        self.docker("stack", "rm", _NAME)

    def supervisor(self, client: Any) -> Container:
        """The container of the supervisor that runs on a machine."""
        label = f"com.docker.swarm.service.name={_NAME}_supervisor"
        (found,) = client.containers.list(filters={"label": label})
        return found  # type: ignore[no-any-return]

    def states(self, client: Any) -> Sequence[str]:
        """Those of the tasks that are to run."""
        filters = {"service": f"{_NAME}_supervisor", "desired-state": "running"}
        return [task["Status"]["State"] for task in client.api.tasks(filters=filters)]

    def update_state(self, client: Any) -> str:
        """What has become of the last update."""
        service = client.api.inspect_service(f"{_NAME}_supervisor")
        return str(service.get("UpdateStatus", {}).get("State", ""))


def _with_sockets(text: str, swarm: Swarm, folder: Path) -> str:
    """The file for engines that share a host, so that the socket of each has another path."""
    assert 1 == text.count(f"{_SOCKET}:{_SOCKET}")
    for node in swarm.managers:
        with node.client() as client:
            link = folder / client.info()["Swarm"]["NodeID"]
        link.symlink_to(node.socket)
    return text.replace(f"{_SOCKET}:{_SOCKET}", f"{folder}/{{{{.Node.ID}}}}:{_SOCKET}")


@contextmanager
def in_the_network(node: SwarmNode) -> Iterator[Sequence[str]]:
    """A command that runs what follows as a container in the stack's network would.

    It has the container's network and look-ups of names, and the files of this machine.
    """
    with a_container(node, "sleep", "3600") as container:
        target = f"--target={container.attrs['State']['Pid']}"
        looks_up = container.attrs["ResolvConfPath"]
        yield "nsenter", target, "--net", "unshare", "--mount", "sh", "-c", _LOOKS_UP, looks_up


@contextmanager
def a_backend(node: SwarmNode) -> Iterator[None]:
    """Something that takes connections under the name and port of the stack's backend."""
    with a_container(node, "httpd", "-f", "-p", "50050", name=BACKEND):
        yield


@contextmanager
def a_container(node: SwarmNode, *command: str, name: str | None = None) -> Iterator[Container]:
    """A container in the network of the stack; it is gone after the block."""
    with node.client() as client:
        container = client.containers.create(
            worker.IMAGE, entrypoint=["/bin/busybox", *command], network=NETWORK, name=name
        )
        try:
            container.start()
            container.reload()
            yield container
        finally:
            container.remove(force=True)
