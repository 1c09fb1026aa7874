"""The open streams of clients. A stream ends when its client may no longer have it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from service.access.access import Refusal


class Revoked(Exception):
    """The client of a stream may no longer have it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


class OpenStreams:
    """Each stream has a function that decides about its credentials again."""

    def __init__(self) -> None:
        self._decide: dict[asyncio.Task[Any], Callable[[], object]] = {}
        self._revoked: dict[asyncio.Task[Any], Refusal] = {}

    async def serve(self, stream: Awaitable[Any], decide: Callable[[], object]) -> Any:
        """Serve a stream in this task. Raises `Revoked`."""
        task = asyncio.current_task()
        assert task is not None
        self._decide[task] = decide
        try:
            return await stream
        except asyncio.CancelledError:
            refusal = self._revoked.get(task)
            if refusal is None or task.uncancel():  # the client has cancelled it
                raise
        finally:
            self._decide.pop(task)
            self._revoked.pop(task, None)
        raise Revoked(refusal)

    def check(self) -> None:
        """End the streams that are no longer allowed."""
        for task, decide in self._decide.items():
            if task not in self._revoked and isinstance(refusal := decide(), Refusal):
                self._revoked[task] = refusal
                task.cancel()
