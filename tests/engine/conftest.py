"""The engines that the contract suite runs against."""

from collections.abc import AsyncIterator
from functools import partial

import pytest

from tests.engine.rigs import DockerRig, FakeRig, Rig
from tests.fake_engine.polled import PolledEngine

_POLL = 0.02  # seconds


@pytest.fixture(params=["fake", "polled", "docker"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Each engine in turn. Docker's is only started for the tests that need it.

    `polled` can do only what every engine has to. A test of what some engines can do besides names
    those: `@pytest.mark.parametrize("rig", …, indirect=True)`.
    """
    made: Rig
    if request.param == "fake":
        made = FakeRig()
    elif request.param == "polled":
        made = FakeRig(partial(PolledEngine, interval=_POLL))
    else:
        made = DockerRig(
            request.getfixturevalue("engine"), request.getfixturevalue("docker_client")
        )
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
