"""Finds out which images an Engine has."""

from collections.abc import Iterable

from service.engine.docker.connection import Clients, Connection
from service.engine.docker.error_mapping import translated_errors
from service.errors import NoSuchWorkload


class LocalImages:
    """The images of an Engine. Blocks. Raises `EngineError`s."""

    def __init__(self, connection: Connection) -> None:
        self._clients = Clients(connection)

    def find(self, images: Iterable[str]) -> frozenset[str]:
        """Those that the Engine has, by name, digest or id."""
        return frozenset(image for image in images if self._has(image))

    def _has(self, image: str) -> bool:
        try:
            with translated_errors("inspect", image):
                self._clients.get().inspect_image(image)  # type: ignore[no-untyped-call]
        except NoSuchWorkload:
            return False
        return True
