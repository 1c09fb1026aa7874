from collections.abc import Iterator

import pytest

from tests.support.environment import no_settings


@pytest.fixture
def environment() -> Iterator[None]:
    with no_settings():
        yield
