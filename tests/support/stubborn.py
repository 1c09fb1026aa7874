"""Workers that ignore SIGTERM: a kill takes the whole grace, and so does a stop meanwhile."""

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import docker
from docker.models.containers import Container

from service._generated.area_types_pb2 import Response
from tests.support import containers, worker
from tests.support.supervised import Supervised, eventually


def is_deaf(container: Container) -> bool:
    """Whether it ignores SIGTERM by now."""
    return worker.DEAF in container.logs()


def a_stubborn_one(
    supervised: Supervised, client: docker.DockerClient, identifier: str = "stubborn"
) -> Container:
    """Launch a job that ignores SIGTERM; its container, once it does."""
    assert Response() == supervised.launch("timer", identifier, {"stubborn": 1})
    container = containers.one(client, identifier)
    eventually(lambda: is_deaf(container))
    return container


@contextmanager
def stopping(supervised: Supervised, client: docker.DockerClient) -> Iterator[Future[Response]]:
    """Send SIGTERM while a kill is under way, which takes the whole grace; that kill."""
    a_stubborn_one(supervised, client)
    with ThreadPoolExecutor(1) as pool:
        kill = pool.submit(supervised.kill, "stubborn")
        eventually(lambda: "stopping" in [job.status for job in supervised.jobs()])
        assert supervised.process is not None
        supervised.process.send_signal(signal.SIGTERM)
        yield kill
