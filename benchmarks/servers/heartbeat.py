"""Measures stalls of the event loop, whether a callback or another thread causes them."""

import asyncio
import time

_EVERY = 0.001


class Heartbeat:
    """Runs a callback periodically on the running loop, and notes the longest delay."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._longest = 0.0
        self._task = asyncio.create_task(self._beat())

    def stop(self) -> float:
        """The longest delay so far (seconds)."""
        assert self._task is not None
        self._task.cancel()
        return self._longest

    async def _beat(self) -> None:
        while True:
            due = time.perf_counter() + _EVERY
            await asyncio.sleep(_EVERY)
            self._longest = max(self._longest, time.perf_counter() - due)
