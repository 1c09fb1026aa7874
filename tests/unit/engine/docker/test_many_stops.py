"""Many stops at once, on a model of an Engine that is slow with many, in virtual time."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast
from unittest.mock import patch

import pytest

from service.engine.docker.calls import BULK_THREADS, Call
from service.engine.docker.exit_waiters import ExitWaiters
from service.engine.docker.stops import Stops
from service.engine.events import Change, Event
from tests.simulation.virtual import VirtualLoop, run

_GRACE = 10.0
_STEP = 0.05
# What Docker 26.1 does on two cores with 2,000 containers: all stops under way share it.
_EXITS_PER_SECOND = 8.0
_SIGTERM, _SIGKILL = 143, 137


@dataclass
class _Engine:
    """Shares its processor among the stops under way; `stubborn` containers ignore SIGTERM."""

    exits: ExitWaiters
    stubborn: frozenset[str] = frozenset()
    work: dict[str, float] = field(default_factory=dict)  # what is left to do for each stop
    gone: dict[str, asyncio.Event] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)
    most: int = 0  # stops under way at one moment

    async def serve(self) -> None:
        while True:
            await asyncio.sleep(_STEP)
            busy = [name for name in self.work if name not in self.stubborn]
            for name in busy:
                self.work[name] -= _STEP * _EXITS_PER_SECOND / len(busy)
                if self.work[name] <= 0:
                    self.exit(name, _SIGTERM)

    def stop(self, name: str) -> None:
        self.work[name], self.gone[name] = 1.0, asyncio.Event()
        self.most = max(self.most, len(self.work))
        if name in self.stubborn:
            asyncio.get_running_loop().call_later(_GRACE, self.exit, name, _SIGKILL)

    def exit(self, name: str, code: int) -> None:
        del self.work[name]
        self.gone[name].set()
        self.exits.handle_event(Event(change=Change.EXITED, id=name, labels={}, exit_code=code))


class _Client:
    """Notes a stop, and never has the answer in time: nothing here waits in a thread."""

    keeps_grace = True

    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self.turn = 0.0

    def ask_to_stop(self, container_id: str, grace: int, *, within: float) -> None:
        assert grace == _GRACE
        self._engine.stop(container_id)
        self.turn = within

    def stop(self, container_id: str, timeout: int) -> None:
        assert timeout == 0
        self._engine.killed.append(container_id)


class _Calls:
    """As many at once as there are threads, each for its turn or until the exit."""

    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._threads = asyncio.Semaphore(BULK_THREADS)

    async def call(self, call: Call[Any], *, timeout: float) -> Any:
        async with self._threads:
            client = _Client(self._engine)
            answer = call.function(cast("Any", client))
            with suppress(TimeoutError):
                async with asyncio.timeout(min(client.turn, timeout)):
                    await self._engine.gone[call.about["container.id"]].wait()
            return answer


async def _stop_all(
    loop: VirtualLoop, jobs: int, stubborn: frozenset[str]
) -> tuple[_Engine, float]:
    exits = ExitWaiters()
    exits.stream_opened()
    engine = _Engine(exits, stubborn)

    async def is_live(name: str) -> bool:
        return name in engine.work

    with patch("service.engine.docker.stops.monotonic", loop.time):
        stops = Stops(cast("Any", _Calls(engine)), exits, is_live)
        serving = asyncio.create_task(engine.serve())
        began = loop.time()
        names = [f"c{number}" for number in range(jobs)]
        await asyncio.gather(*(stops.stop(name, _GRACE) for name in names))
        serving.cancel()
    return engine, loop.time() - began


def _run(jobs: int, stubborn: frozenset[str] = frozenset()) -> tuple[_Engine, float]:
    def main(loop: VirtualLoop) -> Coroutine[Any, Any, tuple[_Engine, float]]:
        return _stop_all(loop, jobs, stubborn)

    return run("stops", main)


def test_a_busy_engine_is_not_asked_for_more_than_it_ends_within_the_grace() -> None:
    jobs = 2_000
    engine, took = _run(jobs)
    assert engine.killed == []
    assert engine.most < _GRACE * _EXITS_PER_SECOND
    assert took < 1.15 * jobs / _EXITS_PER_SECOND


@pytest.mark.parametrize(("every", "within"), [(10, 60), (1, 80)])
def test_containers_that_ignore_sigterm_share_their_graces(every: int, within: float) -> None:
    engine, took = _run(400, frozenset(f"c{number}" for number in range(0, 400, every)))
    assert engine.killed == []
    assert took < within
