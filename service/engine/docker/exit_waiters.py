"""Lets callers wait for the exit of a container, which the event stream reports."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from service.engine.events import Change, Event
from service.engine.workloads import Exit

# None: no event will report the exit.
ExitFuture = asyncio.Future[Exit | None]


class ExitWaiters:
    """Resolves futures when containers exit, so that no call to the Engine has to stay open."""

    def __init__(self) -> None:
        self._streams = 0
        self._waiting: defaultdict[str, list[ExitFuture]] = defaultdict(list)

    @contextmanager
    def expect_exit(self, container_id: str) -> Iterator[ExitFuture]:
        """A future for an exit within the block. It is None at once if no stream is open."""
        future: ExitFuture = asyncio.get_running_loop().create_future()
        if not self._streams:
            future.set_result(None)
        self._waiting[container_id].append(future)
        try:
            yield future
        finally:
            self._waiting[container_id].remove(future)
            if not self._waiting[container_id]:
                del self._waiting[container_id]

    def stream_opened(self) -> None:
        """Count an open stream, up to `stream_closed`."""
        self._streams += 1

    def stream_closed(self) -> None:
        """Count a closed stream. After the last one, resolve all futures with None."""
        self._streams -= 1
        if not self._streams:
            for futures in self._waiting.values():
                _resolve(futures, None)

    def handle_event(self, event: Event) -> None:
        """Resolve the futures of an exit: with None if the event has no exit code."""
        if event.change is Change.EXITED:
            code = event.exit_code
            exited = None if code is None else Exit(code, time.time())
            _resolve(self._waiting.get(event.id, []), exited)


def _resolve(futures: list[ExitFuture], exited: Exit | None) -> None:
    for future in futures:
        if not future.done():
            future.set_result(exited)
