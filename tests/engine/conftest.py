"""The engines that the contract suite runs against."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from functools import partial

import pytest

from tests.engine.rigs import DockerRig, FakeRig, Rig
from tests.fake_engine.engine import FakeEngine
from tests.fake_engine.polled import PolledEngine
from tests.support.clock import skipping_waits

_POLL = 0.02  # seconds
_FAKES: Mapping[str, Callable[..., FakeEngine]] = {
    "fake": FakeEngine,
    "polled": partial(PolledEngine, interval=_POLL),
}


@pytest.fixture(params=["fake", "polled", "docker"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Each engine in turn. Docker's is only started for the tests that need it.

    `polled` can do only what every engine has to. A test of what some engines can do besides names
    those: `@pytest.mark.parametrize("rig", …, indirect=True)`.
    """
    made: Rig
    with ExitStack() as stack:
        if request.param == "docker":
            made = DockerRig(
                request.getfixturevalue("engine"), request.getfixturevalue("docker_client")
            )
        else:
            stack.enter_context(skipping_waits())
            made = FakeRig(_FAKES[request.param])
        yield made
        await made.clean()


@pytest.fixture
async def docker_rig(request: pytest.FixtureRequest) -> AsyncIterator[DockerRig]:
    """Docker alone, for what a fake cannot show."""
    made = DockerRig(request.getfixturevalue("engine"), request.getfixturevalue("docker_client"))
    yield made
    await made.clean()


@pytest.fixture
def fake_rig() -> FakeRig:
    """The fake alone, for what only it offers."""
    return FakeRig()
