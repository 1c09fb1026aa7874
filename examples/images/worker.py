"""`make worker`: builds the image of the example workers, even without a registry."""

import os
import sys
from contextlib import closing

import docker
import docker.errors
import requests

from examples import images
from scripts import demo_engine
from scripts.progress import PrerequisiteError, say

_TAG = "supervisor-demo-worker"  # as examples/catalog.toml calls it
_COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"  # where its spans go; a build argument
_READ_SECONDS = 300  # a build may be silent for as long as a big download takes
_FAILURES = (
    PrerequisiteError,
    images.BuildError,
    docker.errors.DockerException,
    requests.RequestException,
)


def main() -> int:
    """Build it on the Engine at DOCKER_HOST. The base stays there for the next build."""
    host = os.environ.get("DOCKER_HOST") or demo_engine.DEFAULT_HOST
    try:
        with closing(docker.DockerClient(base_url=host, timeout=_READ_SECONDS)) as client:
            arguments = {"BASE_IMAGE": images.base_image(client)}
            if collector := os.environ.get(_COLLECTOR):
                arguments[_COLLECTOR] = collector
            images.build(client, "examples/worker/Dockerfile", _TAG, arguments)
    except _FAILURES as error:
        print(f"{_TAG} cannot be built on the Engine at {host}. {error}", file=sys.stderr)
        return 1
    say(f"{_TAG} is on the Engine at {host}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
