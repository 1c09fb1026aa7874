"""What is done for all jobs leaves the event loop to others, however many jobs there are."""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import pytest

from benchmarks.calls import ENDING, identifier_of
from benchmarks.servers.service import Service
from service.engine.workload_spec import WorkloadSpec
from service.jobs.labels import LAUNCH_LABEL
from service.jobs.model import Job, Kind
from service.jobs.observations import Started
from service.reconcile import watcher
from tests.support.supervised import free_port

JOBS = 10_000
EVENT_DELAY = 0.1
BEAT = 0.001


class Turns:
    """The longest turn of the event loop, in CPU time: others may use the processor as well."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._loop = asyncio.get_running_loop()
        self._began = time.thread_time()
        self._next = self._loop.call_later(BEAT, self._turn)

    def _turn(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._began)
        self._began = now
        self._next = self._loop.call_later(BEAT, self._turn)

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


async def take_over(served: Service, identifier: str) -> None:
    """A job, without the rest of a launch."""
    job = Job(launch_id=identifier, name=ENDING, identifier=identifier, kind=Kind.ACTION)
    labels = {LAUNCH_LABEL: job.launch_id}
    spec = WorkloadSpec(name=identifier, image="worker", arguments=(), labels=labels)
    workload_id, _ = await served.engine.start(spec, timeout=1)
    served.core.registry.adopt(job, Started(workload_id, 0.0))


async def test_a_comparison_of_many_jobs_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "_EVENT_DELAY", EVENT_DELAY)
    monkeypatch.setattr(watcher, "_COMPARE_INTERVAL", 0.5)
    served = Service(free_port())
    compared = served.metrics.reconciled_at._value  # to read them all would take milliseconds
    async with served.running():
        for number in range(JOBS):
            await take_over(served, identifier_of(number))
        await asyncio.sleep(EVENT_DELAY)
        longest = []
        with without_garbage_collections():
            # Other programs empty the caches of a busy machine, and not each time: one may be slow.
            for _ in range(3):
                before, turns = compared.get(), Turns()
                while compared.get() == before:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.05)
                longest.append(turns.stop())
    assert median(longest) < 0.010  # usually 0.5 to 5 ms
