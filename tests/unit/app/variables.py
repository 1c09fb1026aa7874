"""Settings as tests give them: in the environment."""

import os

import pytest

from service.app.environment import load_settings
from service.errors import StartError
from service.settings import Settings


def settings(**variables: str) -> Settings:
    os.environ.update(variables)
    return load_settings()


def fault(**variables: str) -> str:
    with pytest.raises(StartError) as caught:
        settings(**variables)
    return str(caught.value)
