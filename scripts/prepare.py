"""Prepares everything for the tests before pytest runs, whose time limits would not allow it.

An engine that cannot be had is said here, in one line, and not by every test in turn.
"""

import subprocess
import sys

import docker

from examples import images
from examples.images import busybox
from scripts import apt, browser, chosen_engine, engines, node, private_engine
from scripts.private_engine import PrivateEngine
from scripts.progress import PrerequisiteError, say, step

# What its commands need, beside Docker's.
_OF_THE_RUNBOOK = {
    "jq": "jq",
    "curl": "curl",
    "free": "procps",
    "journalctl": "systemd",
    "ss": "iproute2",
}
# What tests start by themselves.
_OF_THE_TESTS = {
    "tmux": "tmux",
    "zsh": "zsh",
    "fish": "fish",
    "haproxy": "haproxy",
    "chattr": "e2fsprogs",
}


def main() -> int:
    """Prepare, and say which versions the tests run on."""
    try:
        engine, compose = prepare()
    except (PrerequisiteError, images.BuildError) as error:
        print(f"The tests cannot run. {error}", file=sys.stderr)
        return 1
    say(f"The tests run on {engine} of their own, and {compose}.")
    return 0


def prepare() -> tuple[str, str]:
    """Install, try an engine, and make the base image that images are built on.

    Returns the names and versions of the engine and of its Compose. Raises `PrerequisiteError`.
    """
    private_engine.ensure_installed()
    if not engines.root():
        apt.ensure("docker-compose", "docker-compose")
    apt.ensure("docker", "docker-cli")  # which Debian 12 has in docker.io
    apt.ensure("promtool", "prometheus")
    apt.ensure("docker-registry", "docker-registry")
    for program, package in (_OF_THE_RUNBOOK | _OF_THE_TESTS).items():
        apt.ensure(program, package)
    apt.ensure("chromium", "chromium")
    browser.ensure_installed()
    node.ensure_installed()
    node.ensure_installed(node.CONSOLE)
    busybox.ensure()
    with step("Trying a private Engine"), chosen_engine.private() as engine:
        client = docker.DockerClient(base_url=engine.host, timeout=120)
        images.base_image(client)
        version = client.version()["Version"].partition("+")[0]
        client.close()
        engines.check_version(version)
        return f"{engines.kind()} {version}", f"Compose {_compose(engine)}"


def _compose(engine: PrivateEngine) -> str:
    command = engine.command("docker-compose", "version", "--short")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
