"""The clock that the event loop sets its timers by."""

import asyncio


def loop_time() -> float:
    """Seconds, from any moment on.

    uvloop counts whole milliseconds: by `time.monotonic`, its timers may seem to fire too early.
    """
    return asyncio.get_running_loop().time()
