"""Clocks that need not be waited for, so that a time limit is tested as it is, and the same way
each time, on a machine of whatever speed.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest


@contextmanager
def skipping_waits() -> Iterator[None]:
    """Let the running loop, `time.monotonic` and `time.time` jump from timer to timer.

    For what is all in memory: whenever the event loop has nothing to do, the next thing that
    happens is its next timer. A wait of thirty seconds takes none.
    """
    loop: Any = asyncio.get_running_loop()
    selector = loop._selector
    now = loop.time()
    epoch = time.time() - now
    really_select = selector.select

    def select(timeout: float | None = None) -> Any:
        nonlocal now
        assert timeout is not None, "everybody waits, and nothing will ever happen"
        now += max(timeout, 0)
        return really_select(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selector, "select", select)
        patch.setattr(loop, "time", lambda: now)
        patch.setattr(time, "monotonic", lambda: now)
        patch.setattr(time, "time", lambda: epoch + now)
        yield


class Clock:
    """Runs as ever, and can be put forward. For what also happens in threads.

    It is the running loop's, and the one of the modules that have imported `monotonic` or
    `perf_counter`.
    """

    def __init__(self, patch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
        self._ahead = 0.0
        loop = asyncio.get_running_loop()
        patch.setattr(loop, "time", self._put_forward(loop.time))
        for module in modules:
            for name in {"monotonic", "perf_counter"} & vars(module).keys():
                patch.setattr(module, name, self._put_forward(getattr(module, name)))

    def put_forward(self, seconds: float) -> None:
        """From any thread; the loop looks at it when it next has something to do."""
        self._ahead += seconds

    async def pass_time(self, seconds: float) -> None:
        """Put it forward, and let the loop see which of its timers are due."""
        self.put_forward(seconds)
        await asyncio.sleep(0)

    def _put_forward(self, really: Callable[[], float]) -> Callable[[], float]:
        return lambda: really() + self._ahead
