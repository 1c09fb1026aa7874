"""An environment with no setting in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from service.settings import Settings


@contextmanager
def no_settings() -> Iterator[None]:
    """Remove the settings from the environment; afterwards it is as it was before."""
    before = dict(os.environ)
    for name in before:
        if name.lower() in Settings.model_fields:
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)
