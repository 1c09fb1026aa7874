"""A supervisor that lets in whom the file of `served.py` names."""

from collections.abc import AsyncIterator

import pytest

from tests.access.served import Served, served


@pytest.fixture
async def door() -> AsyncIterator[Served]:
    async with served() as made:
        yield made
