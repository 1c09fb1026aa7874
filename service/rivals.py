"""A second supervisor of the same instance: each would take the other's containers for its own.

Two are told from each other by a lock on this host, and by a label on containers that run
supervisors. Not noticed is a second one elsewhere that shares this Engine over the network and
runs in no labelled container.
"""

import hashlib
import math
import re
import socket
from pathlib import Path

from service.engine.base import Engine, Status
from service.errors import NoSuchWorkload, StartError
from service.workload import LABEL_PREFIX

SERVES_LABEL = LABEL_PREFIX + "serves"
"""On a supervisor's own container: the instance that it is. Whoever deploys it sets it."""

_NOT_YET = (math.inf, "")
_MOUNTS = Path("/proc/self/mountinfo")
_OWN_CONTAINER = re.compile(r"/containers/([0-9a-f]{64})/")


def hold_instance(instance: str, engine_url: str) -> socket.socket:
    """Take this host's lock on an instance, for as long as the socket lives.

    An abstract Unix socket: the kernel frees it with its holder, however that ends, and no file
    is left behind (unix(7)). Raises `StartError`.
    """
    lock = socket.socket(socket.AF_UNIX)
    held = hashlib.sha256(f"{instance}@{_resolved(engine_url)}".encode()).hexdigest()
    try:
        lock.bind(f"\0area-supervisor/{held}")
    except OSError:
        raise StartError(
            f"SUPERVISOR_INSTANCE={instance}: another supervisor of this name runs on this host"
            " for the same Docker Engine; stop it, or give this one a name of its own"
        ) from None
    return lock


def _resolved(engine_url: str) -> str:
    """The same for a socket by whatever path."""
    scheme, _, path = engine_url.partition("://")
    return str(Path(path).resolve()) if scheme == "unix" else engine_url


class Rivals:
    """Supervisors of the same instance that run in containers on the same Engine."""

    def __init__(self, engine: Engine, instance: str) -> None:
        self._engine = engine
        self._instance = instance

    async def check(self) -> None:
        """Raise `StartError` if there is one, and it was there first. Raises `EngineError`s."""
        labelled = await self._engine.find({SERVES_LABEL: self._instance})
        since = {each.id: await self._since(each.id) for each in labelled}
        ours = since.get(own_container_id() or "", _NOT_YET)
        for other in labelled:
            if since[other.id] < ours:
                raise StartError(
                    f"SUPERVISOR_INSTANCE={self._instance}: the container {other.name!r} is a"
                    " supervisor of this name on the same Docker Engine;"
                    " stop it, or give this one a name of its own"
                )

    async def _since(self, workload_id: str) -> tuple[float, str]:
        """Since when it runs: a container that was made first may have been started last."""
        try:
            seen = await self._engine.inspect(workload_id)
        except NoSuchWorkload:
            return _NOT_YET
        return (seen.started_at, seen.id) if seen.status is Status.LIVE else _NOT_YET


def own_container_id() -> str | None:
    """The id of the container that this process runs in, as Docker's mounts tell it."""
    try:
        found = _OWN_CONTAINER.search(_MOUNTS.read_text(encoding="utf-8"))
    except OSError:
        return None
    return found and found[1]
