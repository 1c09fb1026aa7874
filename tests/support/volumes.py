"""An image with a folder that is a volume, and the volumes that its containers leave."""

from collections.abc import Set as AbstractSet

import docker

from tests.support import worker

IMAGE = "supervisor-test-with-volume"
# The same, and its program is not there.
BROKEN = "supervisor-test-broken-with-volume"
_VOLUME = "VOLUME /data"


def make(client: docker.DockerClient) -> None:
    """Make both images on an engine."""
    worker.variant(client, IMAGE, _VOLUME)
    worker.variant(client, BROKEN, _VOLUME, of=worker.BROKEN)


class Volumes:
    """The volumes of an engine that were not there when this was made."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._before = self._all()

    def __len__(self) -> int:
        return len(self._all() - self._before)

    def _all(self) -> AbstractSet[str]:
        found = self._client.api.volumes()["Volumes"] or ()
        return {volume["Name"] for volume in found}
