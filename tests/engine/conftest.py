"""The engines that the contract suite runs against."""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial

import pytest

from scripts.private_engine import PrivateEngine, ensure_installed
from service.engine.docker.engine_requests import REQUESTS
from tests.engine.rigs import DockerRig, FakeRig, Rig, SwarmRig
from tests.fake_engine.engine import FakeEngine
from tests.fake_engine.polled import PolledEngine
from tests.support.clock import skipping_waits
from tests.support.socket_proxy import a_socket_proxy
from tests.support.swarm import Swarm, a_swarm

_POLL = 0.02  # seconds
# What Docker 23 and 24, Podman, and an Engine with live-restore are asked for; and by Diagnose.
_SELDOM = {
    "POST /containers/{container}/kill",
    "POST /containers/{container}/wait",
    "POST /containers/{container}/unpause",
    "POST /networks/{network}/disconnect",
    "GET /networks",
    "GET /v4.0.0/libpod/info",
    "GET /v4.0.0/libpod/containers/{container}/json",
}
_FAKES: Mapping[str, Callable[..., FakeEngine]] = {
    "fake": FakeEngine,
    "polled": partial(PolledEngine, interval=_POLL),
}


@pytest.fixture(params=["fake", "polled", "docker", "swarm"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Each engine in turn. Docker's is only started for the tests that need it.

    `polled` can do only what every engine has to. A test of what some engines can do besides names
    those: `@pytest.mark.parametrize("rig", …, indirect=True)`.
    """
    made: Rig
    with ExitStack() as stack:
        if request.param == "docker":
            made = _docker_rig(request)
        elif request.param == "swarm":
            made = SwarmRig(request.getfixturevalue("swarm"))
        else:
            stack.enter_context(skipping_waits())
            made = FakeRig(_FAKES[request.param])
        yield made
        await made.clean()


def _docker_rig(request: pytest.FixtureRequest) -> DockerRig:
    names = ("engine", "docker_client", "engine_host")
    return DockerRig(*map(request.getfixturevalue, names))


@pytest.fixture(scope="session")
def engine_host(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The adapter's DOCKER_HOST. With `TEST_PROXY`, the example's proxy is in between.

    The proxy has to let every request through, and to know of none that is not made.
    """
    if not os.environ.get("TEST_PROXY"):
        yield engine.host
        return
    folder = tmp_path_factory.mktemp("proxy")
    with a_socket_proxy(folder, engine.socket, log_all=True) as proxy:
        yield proxy.host
    assert [] == proxy.refused
    unused = {f"{r.method} {r.path}" for r in {*REQUESTS} - {*proxy.allowed}}
    assert unused <= _SELDOM


@pytest.fixture
async def docker_rig(request: pytest.FixtureRequest) -> AsyncIterator[DockerRig]:
    """Docker alone, for what a fake cannot show."""
    made = _docker_rig(request)
    yield made
    await made.clean()


@pytest.fixture
def fake_rig() -> FakeRig:
    """The fake alone, for what only it offers."""
    return FakeRig()


@pytest.fixture(scope="session")
def swarm() -> Iterator[Swarm]:
    """A Swarm of one node."""
    ensure_installed()
    with a_swarm() as made:
        yield made


@pytest.fixture(scope="session")
def swarm_of_three() -> Iterator[Swarm]:
    """A Swarm of one manager and two workers."""
    ensure_installed()
    with a_swarm(managers=1, workers=2) as made:
        yield made


@pytest.fixture
async def swarm_rig(request: pytest.FixtureRequest) -> AsyncIterator[SwarmRig]:
    """Swarm alone, on one node."""
    made = SwarmRig(request.getfixturevalue("swarm"))
    yield made
    await made.clean()


@pytest.fixture
async def rig_of_three(request: pytest.FixtureRequest) -> AsyncIterator[SwarmRig]:
    """Swarm alone, on a manager and two workers."""
    made = SwarmRig(request.getfixturevalue("swarm_of_three"))
    yield made
    await made.clean()
