"""The containers of the Go supervisor, which carry no labels: found by image, once, by hand."""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import docker
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from service.engine.docker.answers import Imaged, Stranger, Unreadable, read, read_list
from service.engine.docker.connection import Clients, Connection
from service.engine.docker.errors import mapped
from service.engine.docker.tolerant_reader import Oddities
from service.errors import EngineRefused, NoSuchWorkload

# Compose's own containers; images that Compose has built carry its other labels.
_COMPOSE_CONTAINER = "com.docker.compose.container-number"
_IMAGE_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}")
_TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class LegacyContainer:
    """A container that the Go supervisor seems to have launched."""

    id: str
    name: str
    image: str
    status: str


class LegacyContainers:
    """Finds and removes them. Blocks; raises the `EngineError`s."""

    def __init__(self, connection: Connection) -> None:
        self._clients = Clients(connection)
        self._oddities = Oddities()

    def find(self, images: Collection[str], our_label: str) -> Sequence[LegacyContainer]:
        """Containers of these images without our label, and not Compose's own, live or not."""
        wanted = set(map(_untagged, images))
        with mapped("list", "containers"):
            listed = read_list(self._clients.get().containers(all=True))
        readable = filter(None, map(self._read, listed))
        strangers = [item for item in readable if _is_strange(item.Labels or {}, our_label)]
        found = [_legacy(item, self._image_of(item)) for item in strangers]
        return [container for container in found if _untagged(container.image) in wanted]

    def _read(self, item: object) -> Stranger | None:
        """One of a list; None where it cannot be read, which is told, and harms no other."""
        try:
            return read(Stranger, item)
        except Unreadable as error:
            self._oddities.tell("list", f"a container: {error}")
            return None

    def _image_of(self, item: Stranger) -> str:
        """The image's name as it was asked for: the list has an id once the image is built anew."""
        if not _IMAGE_ID.fullmatch(item.Image):
            return item.Image
        try:
            with mapped("inspect", item.Id):
                return read(Imaged, self._clients.get().inspect_container(item.Id)).Config.Image
        except NoSuchWorkload:
            return item.Image

    def remove(self, container: LegacyContainer, grace: int) -> None:
        """Stop and remove one. The Go supervisor's remove themselves once they have stopped."""
        client = self._clients.get()
        client.timeout = _TIMEOUT
        with suppress(NoSuchWorkload), mapped("stop", container.name):
            client.stop(container.id, timeout=grace)
        with suppress(NoSuchWorkload):
            self._remove(client, container)

    @retry(
        retry=retry_if_exception_type(EngineRefused),  # while its own removal is under way
        wait=wait_fixed(0.1),
        stop=stop_after_delay(10),
        reraise=True,
    )
    def _remove(self, client: docker.APIClient, container: LegacyContainer) -> None:
        with mapped("remove", container.name):
            client.remove_container(container.id, v=True, force=True)


def _untagged(image: str) -> str:
    return image.removesuffix(":latest")


def _is_strange(labels: Mapping[str, str], our_label: str) -> bool:
    return our_label not in labels and _COMPOSE_CONTAINER not in labels


def _legacy(item: Stranger, image: str) -> LegacyContainer:
    names = item.Names or ["/"]
    return LegacyContainer(
        id=item.Id, name=names[0].removeprefix("/"), image=image, status=item.Status
    )
