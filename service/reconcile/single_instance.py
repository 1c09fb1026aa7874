"""Makes sure that no other supervisor of the same instance runs: each would adopt the other's jobs.

Two things reveal another one: a lock on this host, and a label on containers that run supervisors.
Not noticed is one on another host that shares this engine over the network and runs in no labelled
container.
"""

import math
import socket
from collections.abc import Mapping, Sequence

from observability.logs import get_logger
from service.engine.base import Engine
from service.engine.capabilities import FindOthers
from service.engine.workloads import Status, Workload
from service.errors import EngineRefused, NoSuchWorkload, StartError
from service.jobs.labels import SERVES_LABEL
from service.settings import Settings
from service.support import instance_lock
from service.support.retry import retry

log = get_logger(__name__)

_Since = tuple[float, str]
_NOT_LIVE: _Since = (math.inf, "")


def hold_instance(instance: str, address: str, title: str) -> socket.socket:
    """Take this host's lock on an instance, for as long as the socket lives.

    `address` is that of the engine, and `title` its name in messages.

    Raises `StartError`.
    """
    try:
        return instance_lock.take(instance, address)
    except OSError:
        raise StartError(
            f"SUPERVISOR_INSTANCE={instance}: another supervisor of this name runs on this host"
            f" for the same {title}; stop it, or give this one a name of its own"
        ) from None


class SingleInstance:
    """Checks that no other supervisor of the instance runs in a container on the same engine."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._instance = settings.supervisor_instance
        self._removes = settings.supervisor_on_start == "remove"

    async def check(self) -> None:
        """Raise `StartError` if one was started before this. Raises `EngineError`s.

        If they may share the engine, only if this one is about to end their jobs.
        """
        if find_others := self._engine.capabilities.find_others:
            if self._removes:
                await self._refuse_if_any(find_others)
            return
        labelled = await self._engine.find({SERVES_LABEL: self._instance})
        since = {each.id: await self._live_since(each.id) for each in labelled}
        here = self._engine.whereabouts(labelled)
        before = _started_before(labelled, since, since[here.own.id] if here.own else _NOT_LIVE)
        if here.unclear and len(before) == 1:
            log.warning("rival.unclear", container_name=before[0].name)
        elif before:
            raise StartError(
                f"SUPERVISOR_INSTANCE={self._instance}: {_named(before, unclear=here.unclear)}"
                f" of this name on the same {self._engine.title};"
                " stop it, or give this one a name of its own"
            )

    async def _refuse_if_any(self, find_others: FindOthers) -> None:
        names = await retry(lambda: find_others({SERVES_LABEL: self._instance}))
        if names:
            raise StartError(
                f"SUPERVISOR_ON_START=remove: would end the jobs of {names[0]!r}, which serves the"
                f" same instance on the same {self._engine.title}; set adopt, or stop that first"
            )

    async def _live_since(self, workload_id: str) -> _Since:
        """When a container was started, which need not be in the order of their creation."""
        try:
            seen = await retry(lambda: self._engine.inspect(workload_id))
        except (NoSuchWorkload, EngineRefused):  # one that cannot be inspected prevents no start
            return _NOT_LIVE
        return (seen.started_at, seen.id) if seen.status is Status.LIVE else _NOT_LIVE


def _started_before(
    labelled: Sequence[Workload], since: Mapping[str, _Since], moment: _Since
) -> Sequence[Workload]:
    """The containers that were started before that, oldest first."""
    earlier = [each for each in labelled if since[each.id] < moment]
    return sorted(earlier, key=lambda each: since[each.id])


def _named(others: Sequence[Workload], *, unclear: bool) -> str:
    if not unclear:
        return f"the container {others[0].name!r} is a supervisor"
    names = ", ".join(repr(each.name) for each in others)
    return f"one at least of the containers {names} is another supervisor"
