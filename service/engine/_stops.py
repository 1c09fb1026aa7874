"""Stopping containers, any number at once: SIGTERM, the wait for the exit, and SIGKILL."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

import docker

from service.engine._calls import Call, Calls
from service.engine._exits import Exits, Told
from service.engine.base import Exit
from service.errors import EngineFaltered, EngineRefused

# What a short call may take (seconds).
_SHORT = 10.0
# How long one that was sent SIGTERM holds up the next (seconds). So as many end at once as there
# are threads, and those that do not heed it, or take their time, hold up nobody for long.
_TURN = 0.5
# How often an exit is looked for that no event will tell of: at first, and in the end (seconds).
_LOOK, _LAST_LOOK = 0.05, 1.0
_ID = "container.id"


class Stops:
    """Stops without `docker stop`, which would hold a thread, and a place, for the whole grace."""

    def __init__(
        self, calls: Calls, exits: Exits, is_live: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._calls = calls
        self._exits = exits
        self._is_live = is_live

    async def stop(self, container_id: str, grace: float) -> Exit | None:
        """See `Engine.stop`."""
        with self._exits.awaited(container_id) as told:
            try:
                sent = await self._terminate(container_id, told, min(grace, _TURN))
            except EngineFaltered:
                raise
            except EngineRefused:  # as it does for what does not run
                if await self._is_live(container_id):
                    raise
                return None
            return await self._exit(container_id, told, sent + grace)

    async def _terminate(self, container_id: str, told: Told, turn: float) -> float:
        """Send SIGTERM; when. The thread is kept until that is heeded, or its turn is over.

        Docker unpauses what is paused, as it does for nothing but the stop signal.
        """

        def terminate(client: docker.APIClient) -> float:
            client.kill(container_id, "SIGTERM")
            sent = monotonic()
            with suppress(TimeoutError):
                told.result(turn)
            return sent

        stop = Call("stop", terminate, {_ID: container_id})
        return await self._calls.call(stop, timeout=_SHORT + turn)

    async def _exit(self, container_id: str, told: Told, deadline: float) -> Exit | None:
        """How it exits. It has until the deadline (`monotonic`), and is then sent SIGKILL."""
        if told.done() and (exited := told.result()):
            return exited
        try:
            async with asyncio.timeout(deadline - monotonic()):
                if exited := await asyncio.wrap_future(told):
                    return exited
                await self._look_for_exit(container_id)
        except TimeoutError:
            kill = Call("kill", lambda c: c.stop(container_id, timeout=0), {_ID: container_id})
            await self._calls.call(kill, timeout=_SHORT)
        return None

    async def _look_for_exit(self, container_id: str) -> None:
        wait = _LOOK
        while await self._is_live(container_id):
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LAST_LOOK)
