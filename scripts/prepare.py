"""Gets what the tests need before pytest runs, where a wait can be told from a hang.

An engine that cannot be had is said here, in one line, and not by every test in turn.
"""

import sys

import docker

from scripts import apt, images, node, private_engine
from scripts.progress import PrerequisiteError, say, step


def main() -> int:
    """Install, try an engine, and make the base image that the image test builds on."""
    try:
        apt.ensure("docker-compose", "docker-compose")
        private_engine.ensure_installed()
        apt.ensure("promtool", "prometheus")
        node.ensure_installed()
        with step("Trying a private Docker Engine"), private_engine.PrivateEngine() as engine:
            client = docker.DockerClient(base_url=engine.host, timeout=120)
            images.base_image(client)
            version = client.version()["Version"]
            client.close()
    except (PrerequisiteError, images.BuildError) as error:
        print(f"The tests cannot run. {error}", file=sys.stderr)
        return 1
    say(f"The tests run on a Docker Engine {version} of their own.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
