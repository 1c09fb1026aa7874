"""A private Engine, one supervisor, and a soak of it."""

from contextlib import closing
from pathlib import Path

import docker

from scripts.private_engine import PrivateEngine
from tests.soak.soak import Soak
from tests.support import catalog, worker
from tests.support.supervised import Supervised


def soak(directory: Path, *, duration: float, cycles: int, sampled_every: float) -> Soak:
    """A soak that is over, with its samples."""
    (directory / "catalog.toml").write_text(catalog.TEXT)
    with PrivateEngine() as engine, closing(docker.DockerClient(engine.host)) as client:
        worker.make(client)
        settings = {
            "DOCKER_HOST": engine.host,
            "JOB_CATALOG": str(directory / "catalog.toml"),
            "LOG_LEVEL": "info",
        }
        with Supervised(directory, settings) as supervised:
            over = Soak(supervised, client, duration=duration, cycles=cycles)
            over.run(sampled_every=sampled_every)
    return over
