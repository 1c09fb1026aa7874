"""Whether the Engine is there for good.

One that is told to end stops listening at once, and goes on to answer those who are connected, for
as long as its containers take to stop: 0.3 s to 10 s here, with failures of its own stores. What
it listens at may be systemd's, which takes connections for it; so a ping has to be answered.
"""

import asyncio
from collections.abc import Awaitable, Callable

from service.engine.docker.answers import Unreadable
from service.engine.docker.client import Client
from service.engine.docker.connection import Clients
from service.engine.docker.errors import mapped
from service.errors import EngineError, EngineFaltered, EngineRefused, EngineUnavailable

# How long a ping may take that tells a failure from a farewell (seconds).
_FAREWELL = 1.0


def ping_anew(client: Client) -> None:
    """Ping over a new connection."""
    client.close()
    if not client.ping():
        raise Unreadable("it is none to a ping")


def judged(error: EngineFaltered, clients: Clients) -> EngineError:
    """The failure as it is, or the absence that it comes from. Blocks, for a second at most."""
    try:
        with mapped("ping", ""):
            client = clients.get()
            client.timeout = _FAREWELL  # type: ignore[assignment]  # fractions are fine
            ping_anew(client)
    except EngineRefused:  # it answers
        return error
    except EngineError:
        return EngineUnavailable(f"the Docker Engine is going away: {error.message}")
    return error


class Presence:
    """Asks whether the Engine is leaving, once for all who want to know before it is asked."""

    def __init__(self, ping: Callable[[], Awaitable[None]]) -> None:
        self._ping = ping
        self._asking = asyncio.Lock()
        self._next: asyncio.Task[bool] | None = None

    async def leaving(self) -> bool:
        """Whether a ping over a new connection, which begins after this call, is not answered."""
        if self._next is None:
            self._next = asyncio.create_task(self._ask(), name="presence")
        return await asyncio.shield(self._next)

    async def _ask(self) -> bool:
        async with self._asking:
            self._next = None  # who comes later is not answered by this ping
            try:
                await self._ping()
            except EngineRefused:
                return False
            except EngineError:
                return True
            return False
