"""The worlds that the use cases are tried in."""

from collections.abc import AsyncIterator

import pytest

from tests.supervisor.world import World, a_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A ready supervisor in production."""
    async with a_world() as made:
        yield made


@pytest.fixture
async def development() -> AsyncIterator[World]:
    """A ready supervisor in development, which keeps exited containers."""
    async with a_world(keep=True) as made:
        yield made


@pytest.fixture
async def unstarted() -> AsyncIterator[World]:
    """A supervisor in production that does not follow its Engine yet."""
    async with a_world(started=False) as made:
        yield made
