"""Who waits for the exit of which container, as the event streams tell of it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from service.engine.base import Change, Event, Exit

# None: it will not be told.
Told = asyncio.Future[Exit | None]


class Exits:
    """Tells of exits as they happen, so that nobody has to hold a call to the Engine open."""

    def __init__(self) -> None:
        self._streams = 0
        self._awaited: defaultdict[str, list[Told]] = defaultdict(list)

    @contextmanager
    def awaited(self, container_id: str) -> Iterator[Told]:
        """What is told from here to the end of the block; None at once if no stream is open."""
        told: Told = asyncio.get_running_loop().create_future()
        if not self._streams:
            told.set_result(None)
        self._awaited[container_id].append(told)
        try:
            yield told
        finally:
            self._awaited[container_id].remove(told)
            if not self._awaited[container_id]:
                del self._awaited[container_id]

    def opened(self) -> None:
        """A stream has been opened; `closed` ends it."""
        self._streams += 1

    def closed(self) -> None:
        """A stream has ended. After the last one, everybody has to look for themselves."""
        self._streams -= 1
        if not self._streams:
            for waiting in self._awaited.values():
                _tell(waiting, None)

    def hear(self, event: Event) -> None:
        """Tell of an exit. One without an exit code has to be looked at."""
        if event.change is Change.EXITED:
            code = event.exit_code
            found = None if code is None else Exit(code, time.time())
            _tell(self._awaited.get(event.id, []), found)


def _tell(waiting: list[Told], found: Exit | None) -> None:
    for told in waiting:
        if not told.done():
            told.set_result(found)
