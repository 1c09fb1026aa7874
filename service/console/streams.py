"""Streams of the API for browsers, which end once their client may no longer have them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import orjson

from service.api.open_streams import OtherJobs, Revoked
from service.api.services import Closing
from service.console.calls import CallFailed
from service.console.plain import plain

# How often the right to a stream is checked (seconds).
_CHECK = 1.0
# The longest silence, in checks: proxies close silent streams, and writing finds clients that left.
_SILENT = 10
_END: Any = object()

Check = Callable[[], None]
"""Raises `Revoked` or `OtherJobs` if the client of a stream may no longer have it."""


async def with_beats(answers: AsyncGenerator[Any, None], check: Check) -> AsyncGenerator[Any, None]:
    """The answers, and None after long silences, for as long as the client may have them."""
    upcoming, silent = asyncio.ensure_future(anext(answers, _END)), 0
    try:
        while True:
            done, _ = await asyncio.wait((upcoming,), timeout=_CHECK)
            check()
            if not done:
                silent += 1
                if silent % _SILENT == 0:
                    yield None
                continue
            if (answer := upcoming.result()) is _END:
                return
            yield answer
            upcoming, silent = asyncio.ensure_future(anext(answers, _END)), 0
    finally:
        upcoming.cancel()
        await asyncio.wait((upcoming,))
        await answers.aclose()  # at once: a watch is open for as long as nobody closes it


async def lines_of(
    answers: AsyncGenerator[Any, None], check: Check, closing: Closing
) -> AsyncIterator[bytes]:
    """The lines of a log, each as JSON, and empty ones now and then.

    The last one has the error, if there is one, and the status that it would have had.
    """
    try:
        async with aclosing(with_beats(closing.until_closed(answers), check)) as found:
            async for answer in found:
                lines = () if answer is None else answer.lines
                yield b"".join(orjson.dumps(plain(line)) + b"\n" for line in lines) or b"\n"
        if closing.closed:
            yield _last_line(503, "the supervisor is stopping")
    except CallFailed as failed:
        yield _last_line(failed.status, failed.text)
    except Revoked as revoked:
        yield _last_line(401, str(revoked))
    except OtherJobs as others:
        yield _last_line(503, str(others))  # it may ask again


def _last_line(status: int, text: str) -> bytes:
    return orjson.dumps({"status": status, "error": text}) + b"\n"
