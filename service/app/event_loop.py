"""The interpreter, as a service wants it: the event loop, and garbage collections."""

import asyncio
import gc
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

# So many more objects than were freed are made before the youngest are looked at (Python: 700).
_GARBAGE = 10_000


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it on an event loop of its own, to its end."""
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        return runner.run(work)
    finally:
        # To close it, uvloop opens a pair of sockets; without files that fails, and so does the
        # rest. The process ends now, and what it has come to counts.
        with suppress(OSError, RuntimeError):
            runner.close()


def set_up_garbage_collections() -> None:
    """What the start has made stays: a full look at it would hold up everything for 14 ms.

    And hardly anything of what calls make is in cycles, so they are looked for more seldom.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    gc.enable()
