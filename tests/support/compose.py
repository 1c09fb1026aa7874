"""The compose file, as the Compose reads it that comes with the Engine: 1.29 or 2."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.private_engine import PrivateEngine

ROOT = Path(__file__).parents[2]
PROFILE = "--profile=observability"
_SECONDS = 120.0


class Compose:
    """One project of the file, whatever this shell's variables are."""

    def __init__(self, engine: PrivateEngine, directory: Path) -> None:
        self.socket = f"DOCKER_SOCKET={engine.socket}"
        """The variable that says where the Engine's socket is."""
        self._engine = engine
        self._directory = directory

    def run(self, *words: str, variables: str = "", errors: int = subprocess.PIPE) -> str:
        """What a command prints; `variables` are lines of its `.env`."""
        env_file = self._directory / "variables"
        env_file.write_text(variables)
        options = ["--file", str(ROOT / "docker-compose.yml"), "--env-file", str(env_file)]
        done = subprocess.run(
            self._engine.command("docker-compose", "--project-name", "observed", *options, *words),
            env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": self._engine.host},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert 0 == done.returncode, done.stderr or done.stdout
        return done.stdout

    def down(self, *options: str, variables: str = "") -> None:
        """Remove everything of the project, of all profiles, with the volumes that 1.29 makes."""
        self.run(*options, PROFILE, "down", "--volumes", variables=variables)

    def config(self, *options: str, variables: str = "") -> Mapping[str, Any]:
        """The services as Compose understands them; 1.29 tells those of every profile."""
        text = self.run(*options, "config", variables=variables)
        found: Mapping[str, Any] = yaml.safe_load(text)["services"]
        return found


def mounts(service: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Source, target and mode of each volume."""
    return [_mount(volume) for volume in service.get("volumes", ())]


def _mount(volume: str | Mapping[str, Any]) -> tuple[str, str, str]:
    """Compose 1.29 writes the short form, Compose 2 the long one."""
    if isinstance(volume, str):
        source, target, mode = volume.split(":")
        return source, target, mode
    mode = "ro" if volume.get("read_only") else "rw"
    return volume["source"], volume["target"], mode


def published(service: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The address of the host and the port in there of each port."""
    return [_port(port) for port in service.get("ports", ())]


def _port(port: str | Mapping[str, Any]) -> tuple[str, str]:
    if isinstance(port, str):
        address, _, inside = port.rpartition(":")
        return address.partition(":")[0], inside.partition("/")[0]
    return port.get("host_ip", ""), str(port["target"])
