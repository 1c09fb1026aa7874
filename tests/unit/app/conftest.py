import os
from collections.abc import Iterator

import pytest

from service.settings import Settings


@pytest.fixture
def environment() -> Iterator[None]:
    """An environment with no setting in it; afterwards it is as it was."""
    before = dict(os.environ)
    for key in before:
        if key.lower() in Settings.model_fields:
            del os.environ[key]
    yield
    os.environ.clear()
    os.environ.update(before)
