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


class OtherJobs(Exception):
    """The client of a stream may touch other jobs by now than when the stream began."""

    def __init__(self) -> None:
        super().__init__("the jobs that this client may touch have changed; call again")


class OpenStreams:
    """Each stream has a function that decides about its client again: why it has to end."""

    def __init__(self) -> None:
        self._decide: dict[asyncio.Task[Any], Callable[[], Exception | None]] = {}
        self._ended: dict[asyncio.Task[Any], Exception] = {}

    async def serve(self, stream: Awaitable[Any], decide: Callable[[], Exception | None]) -> Any:
        """Serve a stream in this task. Raises what the function returns."""
        task = asyncio.current_task()
        assert task is not None
        self._decide[task] = decide
        try:
            return await stream
        except asyncio.CancelledError:
            reason = self._ended.get(task)
            if reason is None or task.uncancel():  # the client has cancelled it
                raise
        finally:
            self._decide.pop(task)
            self._ended.pop(task, None)
        raise reason

    def check(self) -> None:
        """End the streams that are no longer allowed."""
        for task, decide in self._decide.items():
            if task not in self._ended and (reason := decide()):
                self._ended[task] = reason
                task.cancel()
