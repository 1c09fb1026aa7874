"""The event loop, and garbage collection tuned for a service."""

import asyncio
import gc
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

# The youngest generation is collected after this many net allocations (Python's default: 700).
_GARBAGE = 10_000


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine on a new event loop until it is done."""
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        return runner.run(work)
    finally:
        # uvloop opens a pair of sockets to close the loop, which fails if no more files may be
        # open. The process exits now anyway, so its result is kept.
        with suppress(OSError, RuntimeError):
            runner.close()


def tune_garbage_collection() -> None:
    """Exclude the objects of the start from collections, and collect less often.

    The objects of the start stay alive, and a full collection of them would block for 14 ms. The
    objects that calls create are hardly ever in cycles.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    gc.enable()
