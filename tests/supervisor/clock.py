"""Time that passes only when everybody waits: a wait of thirty seconds takes none.

Everything these tests run is in memory, so whenever the event loop has nothing to do, the next
thing that happens is its next timer. The promised time limits are tested as they are, and a test
runs the same way each time.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def skipping_waits() -> Iterator[None]:
    """Let the running loop, and `time.monotonic`, jump from timer to timer."""
    loop: Any = asyncio.get_running_loop()
    selector = loop._selector
    now = loop.time()
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
        yield
