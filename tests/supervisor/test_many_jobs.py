"""What is done for all jobs leaves the event loop to others, however many jobs there are."""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.calls import ENDING, identifier_of
from benchmarks.servers.service import Service
from service.jobs.model import JobSpec
from service.reconcile import watcher
from tests.support.supervised import free_port

pytestmark = pytest.mark.timeout(120)

JOBS = 20_000
EVENT_DELAY = 0.1
COMPARED = "supervisor_reconcile_last_success_timestamp_seconds"


class Turns:
    """The longest turn of the event loop, in CPU time: others may use the processor as well."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._loop = asyncio.get_running_loop()
        self._began = time.thread_time()
        self._next = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._began)
        self._began = now
        self._next = self._loop.call_soon(self._turn)

    def stop(self) -> float:
        self._next.cancel()
        return self.longest


@contextmanager
def without_garbage_collections() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_a_comparison_of_many_jobs_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "_EVENT_DELAY", EVENT_DELAY)
    monkeypatch.setattr(watcher, "_COMPARE_INTERVAL", 1.0)
    served = Service(free_port())
    compared = served.metrics.registry.get_sample_value
    async with served.running():
        for number in range(JOBS):
            await served.core.supervisor.launch(JobSpec(ENDING, identifier_of(number)))
        with without_garbage_collections():
            before, turns = compared(COMPARED), Turns()
            while compared(COMPARED) == before:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.05)
            longest = turns.stop()
    assert longest < 0.01
