"""The engines that the contract suite runs against."""

from collections.abc import AsyncIterator

import pytest

from tests.engine.rigs import DockerRig, FakeRig, Rig


@pytest.fixture(params=["fake", "docker"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Each engine in turn. Docker's is only started for the tests that need it."""
    made: Rig
    if request.param == "fake":
        made = FakeRig()
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
