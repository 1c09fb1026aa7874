"""Clients of WatchJobs, as many as wanted, in this process. They read, and look at nothing.

    python -m benchmarks.servers.watchers PORT NUMBER

Prints a line once all have their snapshot, and exits at the end of its input.
"""

import asyncio
import os
import sys
import threading
from typing import Any

import uvloop
from grpc import aio

from service._generated.supervisor.v1.observer_pb2 import WatchJobsRequest

_METHOD = "/supervisor.v1.JobObserver/WatchJobs"
_EACH = 100  # watches on a connection
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


async def _watch(method: Any, begun: "asyncio.Queue[None]") -> None:
    first = True
    async for _ in method(WatchJobsRequest().SerializeToString()):
        if first:
            begun.put_nowait(None)
        first = False


async def _watch_all(port: int, number: int) -> None:
    begun: asyncio.Queue[None] = asyncio.Queue()
    watches: list[asyncio.Task[None]] = []
    for start in range(0, number, _EACH):
        channel = aio.insecure_channel(f"127.0.0.1:{port}", _OWN_CONNECTION)
        method: Any = channel.unary_stream(_METHOD)
        own = range(start, min(number, start + _EACH))
        watches += [asyncio.create_task(_watch(method, begun)) for _ in own]
    for _ in range(number):
        await begun.get()
    print("begun", flush=True)
    await asyncio.gather(*watches)


def _exit_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Watch until the input ends."""
    threading.Thread(target=_exit_with_input, daemon=True).start()
    uvloop.run(_watch_all(*map(int, sys.argv[1:])))


if __name__ == "__main__":
    main()
