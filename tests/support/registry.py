"""A registry of images that asks for a login: Debian's docker-registry, on a machine of a Swarm."""

import base64
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scripts import apt
from tests.support.namespaces import Machine
from tests.support.swarm import SwarmNode, wait_for

USER, PASSWORD = "tester", "not-for-anybody"
# Of the password, with bcrypt, as the registry asks for it.
_LOGINS = "tester:$2b$04$6MYU1IMn7lqO7Fn31zX0FuIMn4aFjGmaVJKcg.rp/yUgw.6NhhiK.\n"
_LOGIN = {"username": USER, "password": PASSWORD}
_PORT = 5000
_CONFIG = """\
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: "FOLDER/images" } }
http: { addr: "ADDRESS" }
auth: { htpasswd: { realm: tests, path: "FOLDER/logins" } }
"""


class Registry:
    """A registry that runs."""

    def __init__(self, address: str) -> None:
        self.address = address

    def config_json(self, password: str = PASSWORD) -> Mapping[str, object]:
        """What Docker's clients keep of a login."""
        login = base64.b64encode(f"{USER}:{password}".encode()).decode()
        return {"auths": {self.address: {"auth": login}}}

    def push(self, node: SwarmNode, image: str, name: str) -> str:
        """Push an image that a node has; its name in the registry. The node forgets that name."""
        pushed = f"{self.address}/{name}"
        with node.client() as client:
            client.images.get(image).tag(pushed)
            lines = client.api.push(pushed, auth_config=_LOGIN, stream=True, decode=True)
            faults = [line for line in lines if "error" in line]
            assert [] == faults
            client.images.remove(pushed)
        return pushed


@contextmanager
def a_registry(machine: Machine, folder: Path) -> Iterator[Registry]:
    """Run one; its files are in the folder."""
    apt.ensure("docker-registry", "docker-registry")
    address = f"{machine.address}:{_PORT}"
    config = folder / "registry.yml"
    config.write_text(_CONFIG.replace("FOLDER", str(folder)).replace("ADDRESS", address))
    (folder / "logins").write_text(_LOGINS)
    command = machine.command("docker-registry", "serve", str(config))
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            wait_for(lambda: _answers(machine), "the registry answers")
            yield Registry(address)
        finally:
            process.terminate()


def _answers(machine: Machine) -> bool:
    connect = f"exec 3<>/dev/tcp/{machine.address}/{_PORT}"
    tried = machine.command("bash", "-c", connect)
    return subprocess.run(tried, check=False, capture_output=True).returncode == 0
