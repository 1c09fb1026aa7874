"""Notices that an engine keeps output to itself, although somebody follows it.

Docker may do so while it replaces the files of a log (moby/moby#37646): the stream stays open.
"""

import asyncio
from contextlib import aclosing, suppress
from typing import Any

from service.engine.base import Engine
from service.errors import EngineError
from service.observe.seen_lines import SeenLines

# How long there is no output before the engine is asked for the last line; each time twice as long
# (seconds). For that it reads only the end of the log.
_SHORTEST, _LONGEST = 10.0, 300.0
_ANSWER = 10.0  # how long it has for that


class Silence:
    """Notices that a follower misses output, by the last line that the engine has."""

    def __init__(self, engine: Engine, seen: SeenLines) -> None:
        self._engine = engine
        self._seen = seen
        self._length = _SHORTEST
        self.awaited: asyncio.Future[Any] | None = None
        """The output that the follower waits for, or has just got."""

    def note_output(self) -> None:
        """Note that new output has come."""
        self._length = _SHORTEST

    def follow(self, workload_id: str) -> asyncio.Task[bool]:
        """A task that ends once the engine has been silent for a while, and has a later line."""
        return asyncio.create_task(self._until_behind(workload_id))

    async def _until_behind(self, workload_id: str) -> bool:
        """A silence begins after some output: before that, the engine may still be searching."""
        first = awaited = self.awaited
        silent = 0.0
        while True:
            await asyncio.sleep(_SHORTEST)
            silent += _SHORTEST
            if awaited is first or not self._still(awaited):
                awaited, silent = self.awaited, 0.0
            elif silent >= self._length:
                self._length, silent = min(2 * self._length, _LONGEST), 0.0
                if await self._has_more(workload_id) and self._still(awaited):
                    return True

    def _still(self, awaited: asyncio.Future[Any] | None) -> bool:
        return awaited is not None and awaited is self.awaited and not awaited.done()

    async def _has_more(self, workload_id: str) -> bool:
        last = self._engine.logs(workload_id, since=self._seen.since, tail=1)
        with suppress(EngineError, TimeoutError):  # the stream reports it if necessary
            async with asyncio.timeout(_ANSWER), aclosing(last) as found:
                async for lines in found:
                    if any(self._seen.is_behind(line) for line in lines):
                        return True
        return False
