"""Podman, which speaks Docker's API, and some of it in a way of its own.

Whoever asks here gets what Docker would have answered, and nobody else has to know. Measured with
Podman 5.4; its words are those of libpod/define/errors.go, its ways those of
pkg/api/handlers/compat.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import requests
from docker.errors import APIError

from service.engine.docker.answers import Unreadable
from service.engine.docker.client import Client, explanation

T = TypeVar("T")

# Nearly every failure is a 500. What Docker would answer, by its words; the first that fit count.
# What is not here may go better if it is asked again, as after any 500.
_MEANINGS = (
    ("is in state paused", HTTPStatus.CONFLICT),
    ("can only stop created or running containers", HTTPStatus.NOT_MODIFIED),
    ("container state improper", HTTPStatus.CONFLICT),
    ("is already in use by an external entity", HTTPStatus.CONFLICT),
    ("network not found", HTTPStatus.NOT_FOUND),
    ("no matching entries in passwd file", HTTPStatus.BAD_REQUEST),
    ("container-init binary not found", HTTPStatus.BAD_REQUEST),
)
# Where an image has no registry in its name, Podman puts one of these before it.
_PLACES = ("localhost/", "docker.io/library/")


class PodmanClient(Client):
    """A client for one thread, of a Podman that is taken for a Docker."""

    def ping_deeply(self) -> None:
        """It has no containerd, and for its version it asks dpkg or rpm, which takes 0.1 s."""
        if not self.ping():
            raise Unreadable("it is none to a ping")

    @property
    def keeps_grace(self) -> bool:
        """See `Client.keeps_grace`. It does, whichever of Docker's versions it names."""
        return True

    def ask_to_stop(self, container_id: str, grace: int, *, within: float) -> int | None:
        """See `Client.ask_to_stop`."""
        stop = partial(super().ask_to_stop, container_id, grace, within=within)
        return self._though_paused(container_id, stop)

    def stop(self, container: Any, timeout: int | None = None) -> None:
        """See `docker.APIClient.stop`."""
        self._though_paused(container, partial(super().stop, container, timeout))

    def _though_paused(self, container: Any, stop: Callable[[], T]) -> T:
        """Docker lets what is paused go on to be stopped; Podman refuses."""
        try:
            return stop()
        except APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:
                raise
            with suppress(APIError):  # somebody else was quicker
                self.unpause(container)
            return stop()

    def remove_container(
        self, container: Any, v: bool = False, link: bool = False, force: bool = False
    ) -> None:
        """By force it would send SIGTERM, and wait for 10 s; Docker kills."""
        if force:
            with suppress(APIError):  # it does not run, or is gone: the removal tells
                self.kill(container)
        super().remove_container(container, v=v, link=link, force=force)

    def top(self, container: Any, ps_args: str | None = None) -> Any:
        """Without the `ps` that tells it, which Podman runs in the container's namespace."""
        found = super().top(container, ps_args)
        if found["Processes"] and found["Processes"][-1][-1] == "ps":
            found["Processes"].pop()
        return found

    def containers(self, *args: Any, **options: Any) -> Any:
        """With images called as they were asked for."""
        found = super().containers(*args, **options)
        return [each | {"Image": plain_name(each["Image"])} for each in found]

    def info(self) -> Any:
        """Not rootless as Docker is: without root, too, the host's network is the host's."""
        found = super().info()
        options = found.get("SecurityOptions") or ()
        return found | {"SecurityOptions": [each for each in options if each != "name=rootless"]}

    def _raise_for_status(self, response: requests.Response) -> None:
        if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            said = explanation(response)
            known = (status for words, status in _MEANINGS if words in said)
            response.status_code = next(known, HTTPStatus.INTERNAL_SERVER_ERROR)
        super()._raise_for_status(response)


def plain_name(image: str) -> str:
    """An image's name without what Podman puts before it, and without `latest`."""
    place = next(filter(image.startswith, _PLACES), "")
    return image.removeprefix(place).removesuffix(":latest")
