"""Removes a container, once; if another client is removing it, waits until it is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from docker.errors import APIError

from service.engine.docker.calls import Call, Calls
from service.engine.docker.client import Client
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
        about = {"container.id": container_id}
        remove = Call("remove", lambda c: _remove(c, container_id, force=force), about)
        refusal: EngineRefused | None = None
        try:
            if await self._calls.call(remove, timeout=_SHORT):
                return True
        except NoSuchWorkload:
            return False
        except EngineRefused as error:
            refusal = error
        await self._await_removal(container_id, refusal)
        return False

    async def _await_removal(self, container_id: str, refusal: EngineRefused | None) -> None:
        """Wait for the removal by another client. Raise the refusal if there is none."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + _SHORT
        while clock() < deadline:
            try:
                found = await self._inspect(container_id)
            except NoSuchWorkload:
                return
            # During a forced removal, the container counts as running until its process is dead.
            if refusal and found.status is not Status.REMOVING:
                raise refusal
            await asyncio.sleep(_POLL)
        raise EngineTimeout(f"the Docker Engine took too long: remove for {container_id}")


def _remove(client: Client, container_id: str, *, force: bool) -> bool:
    """Remove a container. False if another client is removing it, which is no failure."""
    try:
        client.remove_container(container_id, v=True, force=force)
    except APIError as error:
        if error.status_code == HTTPStatus.CONFLICT and _UNDER_WAY in str(error.explanation):
            return False
        raise
    return True
