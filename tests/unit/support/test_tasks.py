import asyncio
from typing import Any

import pytest

from service.errors import EngineUnavailable
from service.support import tasks
from service.support.tasks import Background, SingleFlight, run_concurrently


class Log:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, dict[str, Any]]] = []

    def warning(self, event: str, **details: Any) -> None:
        self.told.append(("warning", event, details))

    def exception(self, event: str, **details: Any) -> None:
        self.told.append(("exception", event, details))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(tasks, "log", log)
    return log


async def failing(error: Exception) -> None:
    raise error


async def test_work_is_done_without_anybody_waiting(log: Log) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    Background().spawn(work(), "work")
    await asyncio.wait_for(done.wait(), 30)
    assert [] == log.told


async def test_what_the_engine_did_not_do_is_told_under_the_works_name(log: Log) -> None:
    Background().spawn(failing(EngineUnavailable("away")), "reap x")
    await asyncio.sleep(0.01)
    assert [("warning", "background.failed", {"work": "reap x", "error": "away"})] == log.told


async def test_what_nobody_expected_is_told_with_its_traceback(log: Log) -> None:
    Background().spawn(failing(RuntimeError("odd")), "reap x")
    await asyncio.sleep(0.01)
    assert [("exception", "background.crashed", {"work": "reap x"})] == log.told


async def test_work_under_way_is_kept_and_then_let_go() -> None:
    background_ = Background()
    release = asyncio.Event()

    async def work() -> None:
        await release.wait()

    background_.spawn(work(), "work")
    await asyncio.sleep(0)
    assert 1 == len(background_._tasks)
    release.set()
    await asyncio.sleep(0.01)
    assert 0 == len(background_._tasks)


async def test_what_is_done_side_by_side_is_done_at_once() -> None:
    all_there = asyncio.Barrier(3)

    async def work(item: int) -> None:
        assert item in (1, 2, 3)
        await all_there.wait()

    await run_concurrently(work, [1, 2, 3])
    await run_concurrently(work, [])


async def test_a_failure_ends_what_is_done_beside_it() -> None:
    ended: list[str] = []

    async def work(item: str) -> None:
        try:
            if item == "fails":
                raise EngineUnavailable("away")
            await asyncio.Event().wait()
        finally:
            ended.append(item)

    with pytest.raises(EngineUnavailable):
        await run_concurrently(work, ["waits", "fails"])
    assert {"waits", "fails"} == set(ended)


async def test_a_few_at_a_time_are_done_side_by_side() -> None:
    now, most = 0, 0

    async def work(_: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    await run_concurrently(work, range(20), at_once=4)
    assert 4 == most


async def test_work_of_one_name_is_under_way_once() -> None:
    background_ = Background()
    release = asyncio.Event()
    begun = []

    async def work() -> None:
        begun.append(1)
        await release.wait()

    first, second = (background_.spawn_once(work, "sweep") for _ in range(2))
    assert first is second
    other = background_.spawn_once(work, "discard")
    release.set()
    await asyncio.gather(first, other)
    assert 2 == len(begun)
    third = background_.spawn_once(work, "sweep")  # also right after the first has ended
    assert third is not first
    await third
    await asyncio.sleep(0)
    assert (set(), {}) == (background_._tasks, background_._once._tasks)


async def test_one_task_for_each_key_is_under_way() -> None:
    flights: SingleFlight[int] = SingleFlight()
    release = asyncio.Event()

    async def work(result: int) -> int:
        await release.wait()
        return result

    first = flights.begin("a", work(1), "a")
    second = flights.begin("b", work(2), "b")
    assert (first, second, None) == (flights.get("a"), flights.get("b"), flights.get("c"))
    release.set()
    await flights.finish()
    assert (1, 2, 0) == (first.result(), second.result(), len(flights))


async def test_the_next_task_may_begin_as_soon_as_one_is_done() -> None:
    """Before the event loop has told that it is."""
    flights: SingleFlight[None] = SingleFlight()
    first = flights.begin("a", asyncio.sleep(0), "a")
    while not first.done():  # noqa: ASYNC110 - no event would do
        await asyncio.sleep(0)
    second = flights.begin("a", asyncio.sleep(0), "a")
    await second
    await asyncio.sleep(0)
    assert 0 == len(flights)


async def test_what_is_cancelled_is_forgotten_at_once() -> None:
    flights: SingleFlight[None] = SingleFlight()
    first = flights.begin("a", asyncio.sleep(60), "a")
    flights.cancel_all()
    second = flights.begin("a", asyncio.sleep(0), "a")
    await asyncio.wait({first, second})
    assert (True, False) == (first.cancelled(), second.cancelled())
    assert 0 == len(flights)


async def test_a_task_that_is_cancelled_is_forgotten_at_once() -> None:
    flights: SingleFlight[None] = SingleFlight()
    first = flights.begin("a", asyncio.sleep(60), "first")
    flights.cancel("a")
    flights.cancel("b")
    assert flights.get("a") is None
    second = flights.begin("a", asyncio.sleep(0), "second")
    await asyncio.wait({first, second})
    assert (True, False) == (first.cancelled(), second.cancelled())
