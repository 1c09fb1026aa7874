"""The Docker Engine that the demo runs on: the machine's if it has one, else a private one."""

import os
from contextlib import ExitStack
from pathlib import Path

import docker
import docker.errors
import requests

from scripts import private_engine
from scripts.private_engine import PrivateEngine
from scripts.progress import PrerequisiteError, say, step

DEFAULT_HOST = "unix:///var/run/docker.sock"

# A build may be silent during a large download.
_READ_SECONDS = 300


def find_or_start(stack: ExitStack) -> tuple[docker.DockerClient, Path]:
    """A client, and the socket to mount. A private Engine ends with the stack."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    socket = _socket_of(host)
    if not _answers(host, socket):
        say(f"No Docker Engine answers at {host}.")
        socket = _start_private(stack).socket
        host = f"unix://{socket}"
    client = docker.DockerClient(base_url=host, timeout=_READ_SECONDS)
    stack.callback(client.close)
    version = client.version()
    say(f"Docker Engine {version['Version']} (API {version['ApiVersion']}) at {host}")
    return client, socket


def _socket_of(host: str) -> Path:
    if not host.startswith("unix://"):
        raise PrerequisiteError(
            f"DOCKER_HOST={host}: the demo mounts the Engine's socket into the supervisor's "
            "container and talks to it over the loopback, so the Engine has to be on this "
            "machine. Set DOCKER_HOST to its unix:// socket, or unset it."
        )
    return Path(host.removeprefix("unix://"))


def _answers(host: str, socket: Path) -> bool:
    if not socket.exists():
        return False
    if not os.access(socket, os.R_OK | os.W_OK):
        raise PrerequisiteError(
            f"This user may not use the Docker Engine at {host}. Run the demo as root, or as "
            "a user in the group that the socket belongs to."
        )
    try:
        docker.DockerClient(base_url=host, timeout=10).close()
    except (docker.errors.DockerException, requests.RequestException):
        return False
    return True


def _start_private(stack: ExitStack) -> PrivateEngine:
    try:
        private_engine.ensure_installed()
        with step("Starting a private Docker Engine for the demo"):
            return stack.enter_context(PrivateEngine())
    except PrerequisiteError as error:
        raise PrerequisiteError(
            f"{error}\nOr start a Docker Engine on this machine, or set DOCKER_HOST to its "
            "unix:// socket, and run the demo again."
        ) from error
