"""Removes a container, once; if another client is removing it, waits until it is gone."""

import asyncio
from collections.abc import Awaitable, Callable

from service.engine.docker.calls import Call, Calls
from service.engine.workloads import Inspection, Status
from service.errors import EngineRefused, EngineTimeout, NoSuchWorkload

_SHORT = 10.0  # the time limit of a call, and of a removal by another client (seconds)
# A name is free 50 to 90 ms after a removal that another client began.
_POLL = 0.05
_UNDER_WAY = "already in progress"


class Removals:
    """Removes containers. See `Engine.remove`."""

    def __init__(self, calls: Calls, inspect: Callable[[str], Awaitable[Inspection]]) -> None:
        self._calls = calls
        self._inspect = inspect

    async def remove(self, container_id: str, *, force: bool) -> bool:
        """Whether the container was there, and nobody else has removed it."""
        remove = Call(
            "remove",
            lambda c: c.remove_container(container_id, v=True, force=force),
            {"container.id": container_id},
        )
        try:
            await self._calls.call(remove, timeout=_SHORT)
        except NoSuchWorkload:
            return False
        except EngineRefused as refusal:
            await self._await_removal(container_id, refusal)
            return False
        return True

    async def _await_removal(self, container_id: str, refusal: EngineRefused) -> None:
        """Wait for the removal by another client. Raise the refusal if there is none."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + _SHORT
        while clock() < deadline:
            try:
                found = await self._inspect(container_id)
            except NoSuchWorkload:
                return
            # During a forced removal, the container counts as running until its process is dead.
            if found.status is not Status.REMOVING and _UNDER_WAY not in refusal.message:
                raise refusal
            await asyncio.sleep(_POLL)
        raise EngineTimeout(f"the Docker Engine took too long: remove for {container_id}")
