"""A registry of images: Debian's docker-registry, on loopback or on a machine of a Swarm."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import docker

from scripts import apt
from scripts.ports import free_port
from tests.support.namespaces import Machine
from tests.support.swarm import wait_for

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
"""
_ASK = 'auth: { htpasswd: { realm: tests, path: "FOLDER/logins" } }\n'
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

# Makes a command of one that runs where the registry is.
_In = Callable[..., list[str]]


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image in a registry: its name with a tag, and with its digest."""

    name: str
    digest: str

    @property
    def by_digest(self) -> str:
        """The image, whatever its tag stands for by now."""
        return f"{self.name.rpartition(':')[0]}@{self.digest}"


class Registry:
    """A registry that runs."""

    def __init__(self, address: str) -> None:
        self.address = address

    def config_json(self, password: str = PASSWORD) -> Mapping[str, object]:
        """What Docker's clients keep of a login."""
        login = base64.b64encode(f"{USER}:{password}".encode()).decode()
        return {"auths": {self.address: {"auth": login}}}

    def push(self, client: docker.DockerClient, image: str, name: str) -> Pushed:
        """Push an image that an Engine has, which forgets the name in the registry, NAME:TAG."""
        repository, _, tag = f"{self.address}/{name}".rpartition(":")
        pushed = f"{repository}:{tag}"
        client.images.get(image).tag(repository, tag)
        lines = list(
            client.api.push(repository, tag=tag, auth_config=_LOGIN, stream=True, decode=True)
        )
        assert [] == [line for line in lines if "error" in line]
        client.images.remove(pushed)
        told = [line["aux"]["Digest"] for line in lines if "aux" in line]
        return Pushed(pushed, told[0] if told else self._digest(name))

    def _digest(self, name: str) -> str:
        """That of an image, NAME:TAG, in a registry on loopback: Podman does not tell it."""
        repository, _, tag = name.rpartition(":")
        url = f"http://{self.address}/v2/{repository}/manifests/{tag}"
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Accept": f"{_MANIFEST}, {_OCI_MANIFEST}", "Authorization": f"Basic {login}"}
        with urlopen(Request(url, headers=headers, method="HEAD")) as answer:
            return str(answer.headers["Docker-Content-Digest"])

    def push_list(self, pushed: Pushed, name: str, platform: str) -> str:
        """Push a list that has a pushed image as its only one, for a platform; its name."""
        repository = pushed.name.removeprefix(f"{self.address}/").rpartition(":")[0]
        system, architecture = platform.split("/")
        url = f"http://{self.address}/v2/{repository}/manifests"
        with urlopen(Request(f"{url}/{pushed.digest}", headers={"Accept": _MANIFEST})) as answer:
            size = len(answer.read())
        entry = {"mediaType": _MANIFEST, "size": size, "digest": pushed.digest}
        entry["platform"] = {"os": system, "architecture": architecture}
        body = json.dumps({"schemaVersion": 2, "mediaType": _LIST, "manifests": [entry]}).encode()
        put = Request(f"{url}/{name}", body, {"Content-Type": _LIST}, method="PUT")
        with urlopen(put) as answer:
            assert answer.status == 201
        return f"{self.address}/{repository}:{name}"


@contextmanager
def a_registry(machine: Machine, folder: Path) -> Iterator[Registry]:
    """Run one on a machine of a Swarm, which asks for a login; its files are in the folder."""
    with _serving(f"{machine.address}:{_PORT}", folder, machine.command, logins=True) as made:
        yield made


@contextmanager
def a_local_registry(folder: Path, *, logins: bool) -> Iterator[Registry]:
    """Run one on loopback, where an Engine needs no TLS; with `logins`, it asks for one."""
    address = f"127.0.0.1:{free_port()}"
    with _serving(address, folder, lambda *words: [*words], logins=logins) as made:
        yield made


@contextmanager
def _serving(address: str, folder: Path, inside: _In, *, logins: bool) -> Iterator[Registry]:
    apt.ensure("docker-registry", "docker-registry")
    config = folder / "registry.yml"
    text = _CONFIG + (_ASK if logins else "")
    config.write_text(text.replace("FOLDER", str(folder)).replace("ADDRESS", address))
    (folder / "logins").write_text(_LOGINS)
    command = inside("docker-registry", "serve", str(config))
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        options: Any = {"start_new_session": True, "stdout": log, "stderr": log}
        process = stack.enter_context(subprocess.Popen(command, **options))
        stack.callback(process.terminate)
        wait_for(lambda: _answers(address, inside), "the registry answers")
        yield Registry(address)


def _answers(address: str, inside: _In) -> bool:
    host, _, port = address.rpartition(":")
    tried: Sequence[str] = inside("bash", "-c", f"exec 3<>/dev/tcp/{host}/{port}")
    return subprocess.run(tried, check=False, capture_output=True).returncode == 0
