"""Streams of the API for browsers, which end once their client may no longer have them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import orjson

from service.api.open_streams import OtherJobs, Revoked
from service.console.calls import CallFailed
from service.console.plain import plain

# The longest silence (seconds): proxies close silent streams, and writing finds clients that left.
_BEAT = 10.0
_END: Any = object()

Check = Callable[[], None]
"""Raises `Revoked` or `OtherJobs` if the client of a stream may no longer have it."""


async def with_beats(answers: AsyncGenerator[Any, None], check: Check) -> AsyncGenerator[Any, None]:
    """The answers, and None after each silence, for as long as the client may have them."""
    upcoming = asyncio.ensure_future(anext(answers, _END))
    try:
        while True:
            done, _ = await asyncio.wait((upcoming,), timeout=_BEAT)
            check()
            if not done:
                yield None
                continue
            if (answer := upcoming.result()) is _END:
                return
            yield answer
            upcoming = asyncio.ensure_future(anext(answers, _END))
    finally:
        upcoming.cancel()
        await asyncio.wait((upcoming,))
        await answers.aclose()  # at once: a watch is open for as long as nobody closes it


async def lines_of(answers: AsyncGenerator[Any, None], check: Check) -> AsyncIterator[bytes]:
    """The lines of a log, each as JSON; the last one has the error, if there is one."""
    try:
        async with aclosing(with_beats(answers, check)) as found:
            async for answer in found:
                if answer is not None:
                    yield b"".join(orjson.dumps(plain(line)) + b"\n" for line in answer.lines)
    except (CallFailed, Revoked, OtherJobs) as failed:
        yield orjson.dumps({"error": str(failed)}) + b"\n"
