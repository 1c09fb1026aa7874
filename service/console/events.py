"""Changes of jobs as server-sent events, which browsers ask for again by themselves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from service._generated.supervisor.v1.observer_pb2 import WatchJobsResponse
from service.console.calls import CallFailed
from service.console.plain import plain

# Without any change: proxies close what is silent, and a client that has gone is noticed (seconds).
_BEAT = 10.0
# Between two messages, which have all changes since: a page need not follow faster (seconds).
_PAUSE = 0.2
# Jobs of one message that are made into JSON without a pause for the event loop.
_AT_ONCE = 100
_END: Any = object()


async def events_of(
    changes: AsyncIterator[Any], still_allowed: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Events of a watch's encoded messages, each with its token as id; it ends with the watch.

    A browser that comes back sends the last id. A client that may not watch any more is told, and
    its stream ends.
    """
    upcoming = asyncio.ensure_future(anext(changes, _END))
    try:
        while True:
            done, _ = await asyncio.wait((upcoming,), timeout=_BEAT)
            if not still_allowed():
                yield b"event: refused\ndata: {}\n\n"
                return
            if not done:
                yield b": beat\n\n"
                continue
            if (message := upcoming.result()) is _END:
                return
            async for event in _events(WatchJobsResponse.FromString(message)):
                yield event
            await asyncio.sleep(_PAUSE)
            upcoming = asyncio.ensure_future(anext(changes, _END))
    except CallFailed:
        return  # the browser comes back with its last id
    finally:
        upcoming.cancel()


async def _events(message: WatchJobsResponse) -> AsyncIterator[bytes]:
    """Several events, so that nobody waits for thousands of jobs; the last one has the token."""
    jobs = message.jobs
    for start in range(0, max(1, len(jobs)), _AT_ONCE):
        part = [plain(job) for job in jobs[start : start + _AT_ONCE]]
        last = start + _AT_ONCE >= len(jobs)
        data = {"kind": message.kind, "jobs": part, "complete": last and message.complete}
        token = f"id: {message.resume_token}\n".encode() if last else b""
        yield token + b"data: " + orjson.dumps(data) + b"\n\n"
        await asyncio.sleep(0)
