"""Finds and removes the Go supervisor's containers. They have no labels: the image counts."""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep

import docker

from service.engine.docker.connection import Clients, Connection
from service.engine.docker.error_mapping import translated_errors
from service.engine.docker.inspections import Inspected
from service.engine.docker.parsed_fields import MaybeLabels, NotEmpty
from service.engine.docker.parsing import Answer, Unreadable, read, read_list
from service.engine.docker.tolerant_reader import TolerantReader
from service.errors import EngineRefused, NoSuchWorkload

# The label of Compose's own containers. Images that Compose has built have its other labels.
_COMPOSE_CONTAINER = "com.docker.compose.container-number"
_IMAGE_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}")
# Seconds: for a call, for a removal that is already under way, and between two tries of it.
_TIMEOUT, _REMOVAL, _POLL = 30, 10.0, 0.1


class _ForeignContainer(Answer):
    """A container in a list that is not the supervisor's."""

    Id: NotEmpty
    Names: list[str] | None = None
    Labels: MaybeLabels = None
    Image: str
    Status: str


@dataclass(frozen=True, slots=True)
class LegacyContainer:
    """A container that the Go supervisor seems to have launched."""

    id: str
    name: str
    image: str
    status: str


class LegacyContainers:
    """Finds and removes the containers. Blocks. Raises `EngineError`s."""

    def __init__(self, connection: Connection) -> None:
        self._clients = Clients(connection)
        self._reader = TolerantReader()

    def find(self, images: Collection[str], our_label: str) -> Sequence[LegacyContainer]:
        """Containers of these images, live or not, without our label and Compose's."""
        wanted = set(map(_untagged, images))
        with translated_errors("list", "containers"):
            listed = read_list(self._clients.get().containers(all=True))
        readable = filter(None, map(self._read, listed))
        strangers = [item for item in readable if _is_foreign(item.Labels or {}, our_label)]
        found = [_legacy(item, self._image_of(item)) for item in strangers]
        return [container for container in found if _untagged(container.image) in wanted]

    def _read(self, item: object) -> _ForeignContainer | None:
        """An item of the list. Log an unreadable one, and return None."""
        try:
            return read(_ForeignContainer, item)
        except Unreadable as error:
            self._reader.log_unreadable("list", f"a container: {error}")
            return None

    def _image_of(self, item: _ForeignContainer) -> str:
        """The image's name at the launch: if it was built again, the list has the id instead."""
        if not _IMAGE_ID.fullmatch(item.Image):
            return item.Image
        try:
            with translated_errors("inspect", item.Id):
                return read(Inspected, self._clients.get().inspect_container(item.Id)).Config.Image
        except NoSuchWorkload:
            return item.Image

    def remove(self, container: LegacyContainer, grace: int) -> None:
        """Stop and remove a container, which the Engine also removes by itself after its stop."""
        client = self._clients.get()
        client.timeout = _TIMEOUT
        with suppress(NoSuchWorkload), translated_errors("stop", container.name):
            client.stop(container.id, timeout=grace)
        with suppress(NoSuchWorkload):
            self._remove(client, container)

    def _remove(self, client: docker.APIClient, container: LegacyContainer) -> None:
        """Remove a container. The Engine refuses while it removes it by itself."""
        end = monotonic() + _REMOVAL
        while True:
            try:
                with translated_errors("remove", container.name):
                    client.remove_container(container.id, v=True, force=True)
            except EngineRefused:
                if monotonic() > end:
                    raise
                sleep(_POLL)
            else:
                return


def _untagged(image: str) -> str:
    return image.removesuffix(":latest")


def _is_foreign(labels: Mapping[str, str], our_label: str) -> bool:
    return our_label not in labels and _COMPOSE_CONTAINER not in labels


def _legacy(item: _ForeignContainer, image: str) -> LegacyContainer:
    names = item.Names or ["/"]
    return LegacyContainer(
        id=item.Id, name=names[0].removeprefix("/"), image=image, status=item.Status
    )
