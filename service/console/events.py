"""Changes of jobs as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson

from service._generated.supervisor.v1.observer_pb2 import WatchJobsResponse
from service.api.open_streams import OtherJobs, Revoked
from service.console.calls import CallFailed
from service.console.plain import plain
from service.console.streams import Check, with_beats

# The pause between two messages (seconds). Each has all changes since the last one.
_PAUSE = 0.2
# How many jobs are converted to JSON before the event loop gets a turn.
_AT_ONCE = 100


async def events_of(changes: AsyncGenerator[Any, None], check: Check) -> AsyncIterator[bytes]:
    """Events of a watch's encoded messages, each with its token as id; it ends with the watch.

    A page that reconnects sends the last id. It gets beats, so it notices a dead connection. If a
    client may not watch any more, an event says so, and its stream ends.
    """
    try:
        async with aclosing(with_beats(changes, check)) as messages:
            async for message in messages:
                if message is None:
                    yield b"event: beat\ndata: {}\n\n"
                    continue
                async for event in _events(WatchJobsResponse.FromString(message)):
                    yield event
                await asyncio.sleep(_PAUSE)
    except Revoked:
        yield b"event: refused\ndata: {}\n\n"
    except (CallFailed, OtherJobs):
        return  # the page comes back with its last id


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
