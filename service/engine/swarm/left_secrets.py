"""Removes secrets without a service: their supervisor died during a launch or a removal."""

import time
from collections.abc import Mapping
from contextlib import suppress

import requests

from service.engine.docker.client import Client
from service.engine.swarm.manager import Manager
from service.errors import EngineError, EngineFailed, EngineRefused, NoSuchWorkload


class LeftSecrets:
    """Remembers since when secrets with the labels of `selector` belong to no service.

    It finds those of other supervisors, too. Swarm does not remove a secret that a service uses.
    """

    def __init__(self, selector: Mapping[str, str]) -> None:
        self._selector = selector
        self._since: dict[str, float] = {}  # by id (`monotonic`)

    def remove(self, client: Client, *, grace: float) -> int:
        """Remove secrets that have had no service for `grace` seconds. Return their number.

        Another supervisor may be about to make the service, but gives up before that.
        """
        manager, now = Manager(client), time.monotonic()
        secrets = manager.secrets(self._selector)  # first: each service of these is listed
        used = self._used(manager) if secrets else set()
        left = [secret.ID for secret in secrets if secret.Spec.Name not in used]
        self._since = {each: self._since.get(each, now) for each in left}
        due = [each for each, since in self._since.items() if now - since >= grace]
        return sum(_remove(manager, each) for each in due)

    def _used(self, manager: Manager) -> set[str]:
        services = manager.services(self._selector)
        return {name for each in services for name in each.Spec.TaskTemplate.ContainerSpec.secrets}


def _remove(manager: Manager, secret: str) -> bool:
    """Remove a secret. False if it is gone or in use."""
    try:
        manager.remove_secret(secret)
    except EngineFailed:
        raise
    except (NoSuchWorkload, EngineRefused):
        return False
    return True


def remove_if_possible(manager: Manager, secret: str) -> None:
    """Remove the secret of a service that is gone. If that fails, it is found later."""
    with suppress(EngineError, OSError, requests.exceptions.RequestException):
        manager.remove_secret(secret)
