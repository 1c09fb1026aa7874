"""A second supervisor of the same instance: each would take the other's containers for its own.

Two are told from each other by a lock on this host, and by a label on containers that run
supervisors. Not noticed is a second one elsewhere that shares this Engine over the network and
runs in no labelled container.
"""

import hashlib
import math
import socket
from collections.abc import Mapping, Sequence

from observability.logs import get_logger
from service.engine.base import Engine, Status, Workload
from service.errors import EngineRefused, NoSuchWorkload, StartError
from service.jobs.workload import LABEL_PREFIX
from service.settings import Settings
from service.support.retry import patiently

log = get_logger(__name__)

SERVES_LABEL = LABEL_PREFIX + "serves"
"""On a supervisor's own container: the instance that it is. Whoever deploys it sets it."""

_Since = tuple[float, str]
_NOT_YET: _Since = (math.inf, "")


def hold_instance(instance: str, address: str, title: str) -> socket.socket:
    """Take this host's lock on an instance, for as long as the socket lives.

    `address` is that of the engine, and `title` what messages call it.

    An abstract Unix socket: the kernel frees it with its holder, however that ends, and no file
    is left behind (unix(7)). Raises `StartError`.
    """
    lock = socket.socket(socket.AF_UNIX)
    held = hashlib.sha256(f"{instance}@{address}".encode()).hexdigest()
    try:
        lock.bind(f"\0area-supervisor/{held}")
    except OSError:
        raise StartError(
            f"SUPERVISOR_INSTANCE={instance}: another supervisor of this name runs on this host"
            f" for the same {title}; stop it, or give this one a name of its own"
        ) from None
    return lock


class Rivals:
    """Supervisors of the same instance that run in containers on the same Engine."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._instance = settings.supervisor_instance

    async def check(self) -> None:
        """Raise `StartError` if there is one, and it was there first. Raises `EngineError`s."""
        labelled = await self._engine.find({SERVES_LABEL: self._instance})
        since = {each.id: await self._since(each.id) for each in labelled}
        here = self._engine.whereabouts(labelled)
        before = _first(labelled, since, before=since[here.own.id] if here.own else _NOT_YET)
        if here.unclear and len(before) == 1:
            log.warning("rival.unclear", container_name=before[0].name)
        elif before:
            raise StartError(
                f"SUPERVISOR_INSTANCE={self._instance}: {_told(before, unclear=here.unclear)}"
                f" of this name on the same {self._engine.title};"
                " stop it, or give this one a name of its own"
            )

    async def _since(self, workload_id: str) -> _Since:
        """Since when it runs: a container that was made first may have been started last."""
        try:
            seen = await patiently(lambda: self._engine.inspect(workload_id))
        except (NoSuchWorkload, EngineRefused):  # one that cannot be looked at keeps nobody away
            return _NOT_YET
        return (seen.started_at, seen.id) if seen.status is Status.LIVE else _NOT_YET


def _first(
    labelled: Sequence[Workload], since: Mapping[str, _Since], *, before: _Since
) -> Sequence[Workload]:
    """Those that were started before that, the first of them first."""
    earlier = [each for each in labelled if since[each.id] < before]
    return sorted(earlier, key=lambda each: since[each.id])


def _told(rivals: Sequence[Workload], *, unclear: bool) -> str:
    if not unclear:
        return f"the container {rivals[0].name!r} is a supervisor"
    names = ", ".join(repr(each.name) for each in rivals)
    return f"one at least of the containers {names} is another supervisor"
