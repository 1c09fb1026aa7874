"""What the tests of the whole share: supervisors, the example backend and the example workers.

One supervisor serves the tests of a module that do not disturb each other.

A module uses either `shared` or `start`, never both: two supervisors of one instance would take
each other's containers for their own.
"""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from examples import images
from scripts.private_engine import PrivateEngine
from tests.conftest import Start
from tests.support import catalog, containers
from tests.support.backend import Backend, a_backend
from tests.support.collector import Collector, collecting
from tests.support.http_line import HttpLine, an_http_line
from tests.support.line import Line, a_line
from tests.support.supervised import Supervised, eventually

SUPERVISOR_IMAGE = "supervisor-test-supervisor"


@pytest.fixture(scope="module")
def long_running(
    engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supervised]:
    """A supervisor in production mode that lives as long as the module's tests."""
    directory = tmp_path_factory.mktemp("supervisor")
    path = directory / "catalog.toml"
    path.write_text(catalog.TEXT)
    settings = {
        "DOCKER_HOST": engine.host,
        "JOB_CATALOG": str(path),
        "JOB_STOP_GRACE_SECONDS": "2",
    }
    with Supervised(directory, settings) as supervised:
        yield supervised


@pytest.fixture
def shared(long_running: Supervised, docker_client: docker.DockerClient) -> Iterator[Supervised]:
    """The module's supervisor, with nothing running before and after."""
    yield long_running
    containers.remove_everything(docker_client)
    eventually(long_running.is_idle)


@pytest.fixture
def fragile(engine: PrivateEngine, start: Start) -> Iterator[PrivateEngine]:
    """The Engine, which is there again before `start` cleans up on it."""
    assert callable(start)
    try:
        yield engine
    finally:
        engine.thaw()
        engine.start()


@pytest.fixture
def line(engine: PrivateEngine, start: Start, tmp_path: Path) -> Iterator[Line]:
    """A line to the Engine, for gaps of an exact length."""
    assert callable(start)
    with a_line(tmp_path / "line.sock", engine.socket) as one:
        yield one


@pytest.fixture
def meddled(engine: PrivateEngine, start: Start, tmp_path: Path) -> Iterator[HttpLine]:
    """A line to the Engine with a proxy in between."""
    assert callable(start)
    with an_http_line(tmp_path / "http.sock", engine.socket) as line:
        yield line


@pytest.fixture
def listening() -> Iterator[Backend]:
    with a_backend() as backend:
        yield backend


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="session")
def base(docker_client: docker.DockerClient) -> dict[str, str]:
    """What our images are built on, as build arguments; what `make worker` builds on, too."""
    return {"BASE_IMAGE": images.base_image(docker_client)}


@pytest.fixture(scope="session")
def worker_image(docker_client: docker.DockerClient, base: dict[str, str]) -> str:
    """The example workers, which send their spans nowhere."""
    image = "supervisor-test-example-worker"
    images.build(docker_client, "examples/worker/Dockerfile", image, base)
    return image


@pytest.fixture(scope="session")
def supervisor_image(docker_client: docker.DockerClient, base: dict[str, str]) -> str:
    """The supervisor's own image."""
    images.build(docker_client, "Dockerfile", SUPERVISOR_IMAGE, base)
    return SUPERVISOR_IMAGE
