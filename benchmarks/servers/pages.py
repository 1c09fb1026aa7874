"""Open pages of the console, as many as wanted, in this process: streams of events that are read.

    python -m benchmarks.servers.pages PORT NUMBER

Prints a line once all have their snapshot, and exits at the end of its input.
"""

import asyncio
import os
import sys
import threading

import uvloop

_REQUEST = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"


async def _look(port: int, begun: "asyncio.Queue[None]") -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_REQUEST)
    while line := await reader.readline():
        if b'"complete":true' in line:
            begun.put_nowait(None)


async def _look_at_all(port: int, number: int) -> None:
    begun: asyncio.Queue[None] = asyncio.Queue()
    pages = [asyncio.create_task(_look(port, begun)) for _ in range(number)]
    for _ in pages:
        await begun.get()
    print("begun", flush=True)
    await asyncio.gather(*pages)


def _exit_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Look until the input ends."""
    threading.Thread(target=_exit_with_input, daemon=True).start()
    uvloop.run(_look_at_all(*map(int, sys.argv[1:])))


if __name__ == "__main__":
    main()
