"""Threads for what blocks: bounded, warm ones first, and nothing runs that nobody waits for."""

import asyncio
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from service.engine.docker.thread_pool import Threads
from service.errors import EngineError, EngineRefused, EngineTimeout, EngineUnavailable

_FOREVER = 60.0


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(2, "test")
    yield made
    made.close()


def _name() -> str:
    return threading.current_thread().name


async def test_the_thread_that_was_busy_last_is_the_next(threads: Threads) -> None:
    barrier = threading.Barrier(2)
    await asyncio.gather(threads.run(barrier.wait), threads.run(barrier.wait))
    assert 1 == len({await threads.run(_name) for _ in range(10)})


async def test_there_are_no_more_than_allowed_and_the_rest_waits(threads: Threads) -> None:
    go = threading.Event()

    def wait() -> str:
        go.wait(_FOREVER)
        return _name()

    works = [asyncio.create_task(threads.run(wait)) for _ in range(5)]
    await asyncio.sleep(0)
    assert (2, 3) == (threads.busy, threads.queued)
    go.set()
    assert {"test_1", "test_2"} == set(await asyncio.gather(*works))
    assert (0, 0) == (threads.busy, threads.queued)


async def test_what_is_raised_is_raised_where_it_is_awaited(threads: Threads) -> None:
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    assert "test_1" == await threads.run(_name)


async def test_what_is_given_up_as_a_thread_comes_free_never_runs(threads: Threads) -> None:
    go, ran = threading.Event(), threading.Event()
    works = [asyncio.create_task(threads.run(lambda: go.wait(_FOREVER))) for _ in range(2)]
    given_up = asyncio.create_task(threads.run(ran.set))
    await asyncio.sleep(0)
    go.set()
    time.sleep(0.1)  # noqa: ASYNC251 - the event loop is to hear of all three in one turn
    given_up.cancel()
    await asyncio.wait([given_up, *works])
    assert "test" in await threads.run(_name)  # the threads still take work
    assert not ran.is_set()


async def test_what_is_given_up_in_the_queue_never_runs(threads: Threads) -> None:
    go, ran = threading.Event(), threading.Event()
    works = [asyncio.create_task(threads.run(lambda: go.wait(_FOREVER))) for _ in range(2)]
    given_up = asyncio.create_task(threads.run(ran.set))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    assert (2, 0) == (threads.busy, threads.queued)
    go.set()
    await asyncio.gather(*works)
    await threads.run(_name)
    assert not ran.is_set()


async def test_a_thread_whose_work_was_given_up_is_busy_until_it_is_done(threads: Threads) -> None:
    go = threading.Event()
    for busy in (1, 2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await threads.run(lambda: go.wait(_FOREVER))
        assert busy == threads.busy
    go.set()
    assert "test" in await threads.run(_name)
    async with asyncio.timeout(_FOREVER):
        while threads.busy:  # noqa: ASYNC110 - no thread tells of it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("error", "given_up"), [(EngineTimeout, True), (EngineRefused, False)])
async def test_a_call_that_ran_out_of_time_is_no_answer(
    threads: Threads, error: type[EngineError], *, given_up: bool
) -> None:
    """What waits is given up where the Engine has answered nobody for a while."""

    def fail() -> None:
        raise error("failed")

    since, go = time.monotonic(), threading.Event()
    with pytest.raises(error):
        await threads.run(fail)
    works = [asyncio.create_task(threads.run(lambda: go.wait(_FOREVER))) for _ in range(2)]
    waits = asyncio.create_task(threads.run(_name))
    await asyncio.sleep(0)
    threads.give_up(since=since)
    go.set()
    await asyncio.wait([waits, *works])
    assert given_up == isinstance(waits.exception(), TimeoutError)


async def test_where_no_thread_can_be_started_nothing_is_left_to_run_later(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a limit for processes, of which threads are some."""
    ran = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _cannot_start)
        with pytest.raises(EngineUnavailable):
            await threads.run(ran.set)
    assert (0, 0) == (threads.busy, threads.queued)
    assert "test_1" == await threads.run(_name)
    assert not ran.is_set()


def _cannot_start(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def test_an_idle_thread_holds_nothing_of_its_last_work(threads: Threads) -> None:
    """It may have been a launch's arguments, or a listing of 10,000 containers."""

    class Result:
        pass

    held = weakref.ref(await threads.run(Result))
    async with asyncio.timeout(_FOREVER):
        while held() is not None:  # noqa: ASYNC110 - no thread tells of it
            await asyncio.sleep(0.01)


async def test_closing_cancels_what_waits_and_ends_the_threads(threads: Threads) -> None:
    go = threading.Event()
    works = [asyncio.create_task(threads.run(lambda: go.wait(_FOREVER))) for _ in range(2)]
    waits = asyncio.create_task(threads.run(_name))
    await asyncio.sleep(0)
    threads.close()
    await asyncio.wait([waits])
    assert waits.cancelled()
    go.set()
    assert [True, True] == await asyncio.gather(*works)
    assert 0 == threads.busy
    for thread in threading.enumerate():
        if thread.name.startswith("test_"):
            thread.join(_FOREVER)
            assert not thread.is_alive()


def test_a_thread_that_outlives_its_event_loop_ends_quietly() -> None:
    go, threads = threading.Event(), Threads(1, "late")

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await threads.run(lambda: go.wait(_FOREVER))

    asyncio.run(give_up())
    (late,) = (each for each in threading.enumerate() if each.name == "late_1")
    go.set()
    late.join(_FOREVER)
    assert not late.is_alive()
