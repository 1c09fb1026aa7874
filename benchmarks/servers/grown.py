"""The service with many jobs. It measures itself on commands from its standard input.

    python -m benchmarks.servers.grown METRICS_PORT PORT

A line `COMMAND NUMBER` is answered with a number.
"""

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from itertools import count

import service.app.process  # noqa: F401 - for the memory of the real process
from benchmarks.calls import ENDING, identifier_of, spec_of
from benchmarks.processes import resident_bytes
from benchmarks.servers.heartbeat import Heartbeat
from benchmarks.servers.service import Service
from observability.http_endpoint import HttpEndpoint
from observability.logs import configure_logs
from observability.tracing import configure_tracing
from service.app import event_loop


class _Grown:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._launch = service.core.supervisor.launch
        self._numbers = count()
        self._recent: list[str] = []  # identifiers
        self._heartbeat = Heartbeat()
        self.commands: dict[str, Callable[[int], Awaitable[float]]] = {
            "fill": self.fill,
            "launch": self.launch,
            "dedup": self.dedup,
            "exit": self.exit,
            "watch": self.watch,
            "stall": self.stall,
            "memory": self.memory,
        }

    async def fill(self, jobs: int) -> float:
        """Launch jobs. Return the bytes of memory per job."""
        gc.collect()
        before = resident_bytes(os.getpid())
        await self.launch(jobs)
        self._recent.clear()
        gc.collect()
        grown = resident_bytes(os.getpid()) - before - self._service.engine.size
        return grown / jobs if jobs else 0.0

    async def launch(self, jobs: int) -> float:
        """Launch jobs. Return the seconds of the event loop's CPU time per job."""
        specs = [spec_of(identifier_of(next(self._numbers)), ENDING) for _ in range(jobs)]
        self._recent += [spec.identifier for spec in specs]
        began = time.thread_time()
        for spec in specs:
            await self._launch(spec)
        return (time.thread_time() - began) / max(jobs, 1)

    async def dedup(self, times: int) -> float:
        """Repeat launches of running jobs. Return the CPU seconds per launch."""
        spec = spec_of(self._recent[-1], ENDING)
        began = time.thread_time()
        for _ in range(times):
            await self._launch(spec)
        return (time.thread_time() - began) / times

    async def exit(self, jobs: int) -> float:
        """Let the latest jobs exit. Return the CPU seconds per exit, until all jobs are gone."""
        registry, engine = self._service.core.registry, self._service.engine
        ending = [registry.of(identifier)[0] for identifier in self._recent[-jobs:]]
        del self._recent[-jobs:]
        began = time.thread_time()
        for job in ending:
            assert job.workload_id is not None
            engine.exit(job.workload_id, 0)
        for job in ending:
            await registry.wait(job.launch_id, lambda _: False)
        return (time.thread_time() - began) / jobs

    async def watch(self, _: int) -> float:
        """Start to watch for stalls of the event loop."""
        self._heartbeat.start()
        return 0.0

    async def stall(self, _: int) -> float:
        """The longest stall since then, in seconds."""
        return self._heartbeat.stop()

    async def memory(self, _: int) -> float:
        """The memory of this process without that of the engine (bytes)."""
        return float(resident_bytes(os.getpid()) - self._service.engine.size)


async def _serve(metrics_port: int, port: int) -> None:
    served = Service(port)
    HttpEndpoint("127.0.0.1", metrics_port, served.metrics.registry, {}).start()
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_read, args=(loop, lines), daemon=True).start()
    async with served.running():
        if console := os.environ.get("CONSOLE_PORT"):
            served.open_console(int(console))
        grown = _Grown(served)
        while line := await lines.get():
            command, number = line.split()
            print(await grown.commands[command](int(number)), flush=True)


def _read(loop: asyncio.AbstractEventLoop, lines: "asyncio.Queue[str]") -> None:
    for line in sys.stdin:
        loop.call_soon_threadsafe(lines.put_nowait, line)
    os._exit(0)


def main() -> None:
    """Serve until the input ends."""
    configure_logs(level="info", console=False, write=len)
    configure_tracing("bench", "0", "bench")
    event_loop.run(_serve(*map(int, sys.argv[1:])))


if __name__ == "__main__":
    main()
