"""Finds out whether the Engine is shutting down.

During its shutdown, the Engine closes its socket at once, but goes on to serve open connections
while its containers stop (0.3 s to 10 s here), with failures of its own stores. systemd may hold
the socket and accept connections for it. So the check is a ping over a new connection.
"""

import asyncio
from collections.abc import Awaitable, Callable

from service.engine.docker.client import Client
from service.engine.docker.connection import Clients
from service.engine.docker.error_mapping import translated_errors
from service.engine.docker.parsing import Unreadable
from service.errors import EngineError, EngineFailed, EngineRefused, EngineUnavailable

# The time limit of a ping that distinguishes a failure from a shutdown (seconds).
_PING = 1.0


def ping_new_connection(client: Client) -> None:
    """Ping over a new connection."""
    client.close()
    if not client.ping():
        raise Unreadable("it is not an answer to a ping")


def check_shutdown(error: EngineFailed, clients: Clients) -> EngineError:
    """The failure itself, or `EngineUnavailable` during a shutdown. Blocks for at most a second."""
    try:
        with translated_errors("ping", ""):
            client = clients.get()
            client.timeout = _PING  # type: ignore[assignment]  # fractions are fine
            ping_new_connection(client)
    except EngineRefused:  # it answers
        return error
    except EngineError:
        return EngineUnavailable(f"the Docker Engine is going away: {error.message}")
    return error


class ShutdownCheck:
    """Checks whether the Engine is shutting down. Callers share a ping that has not begun yet."""

    def __init__(self, ping: Callable[[], Awaitable[None]]) -> None:
        self._ping = ping
        self._checking = asyncio.Lock()
        self._next: asyncio.Task[bool] | None = None

    async def leaving(self) -> bool:
        """Whether a ping that begins after this call fails."""
        if self._next is None:
            self._next = asyncio.create_task(self._check(), name="shutdown check")
        return await asyncio.shield(self._next)

    async def _check(self) -> bool:
        async with self._checking:
            self._next = None  # later callers need a later ping
            try:
                await self._ping()
            except EngineRefused:
                return False
            except EngineError:
                return True
            return False
