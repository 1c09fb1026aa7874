import asyncio
import time

import pytest

from service import readiness as module
from service.errors import Draining, EngineUnavailable
from service.readiness import Readiness


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_PATIENCE", 0.3)
    monkeypatch.setattr(module, "GAP_PATIENCE", 0.1)


def test_requests_wait_30_s_for_the_start_and_5_s_in_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert (30, 5) == (module.START_PATIENCE, module.GAP_PATIENCE)


def test_at_first_nothing_is_known() -> None:
    readiness = Readiness()
    assert (False, False, False) == (readiness.ready, readiness.listed, readiness.draining)
    assert "the Docker Engine has not answered yet" == readiness.reason


def test_it_is_ready_once_in_step() -> None:
    readiness = Readiness()
    readiness.rise()
    assert (True, True, "ready") == (readiness.ready, readiness.listed, readiness.reason)


def test_it_is_not_ready_in_a_gap_but_still_has_a_last_known_state() -> None:
    readiness = Readiness()
    readiness.rise()
    readiness.fall("connection refused")
    assert (False, True, "connection refused") == (
        readiness.ready,
        readiness.listed,
        readiness.reason,
    )


def test_a_drain_is_for_good_and_keeps_its_reason() -> None:
    readiness = Readiness()
    readiness.rise()
    readiness.drain()
    for change in (readiness.rise, lambda: readiness.fall("connection refused")):
        change()
        assert (False, "the supervisor is stopping") == (readiness.ready, readiness.reason)


def test_listeners_hear_of_every_change() -> None:
    readiness, heard, also = Readiness(), list[bool](), list[bool]()
    readiness.subscribe(heard.append)
    readiness.subscribe(also.append)
    readiness.rise()
    readiness.fall("gone")
    readiness.rise()
    readiness.drain()
    assert [True, False, True, False] == heard == also


async def test_who_finds_it_ready_does_not_wait() -> None:
    readiness = Readiness()
    readiness.rise()
    began = time.monotonic()
    await readiness.wait()
    await readiness.wait_listed()
    assert time.monotonic() - began < 0.1


async def test_who_waits_for_the_start_goes_on_with_it() -> None:
    readiness = Readiness()
    waiting = [asyncio.create_task(readiness.wait()), asyncio.create_task(readiness.wait_listed())]
    await asyncio.sleep(0.15)  # longer than in a gap
    assert not any(task.done() for task in waiting)
    readiness.rise()
    await asyncio.gather(*waiting)


async def test_who_waits_in_vain_for_the_start_is_told_why_and_how_long() -> None:
    for wait in (Readiness().wait, Readiness().wait_listed):
        with pytest.raises(EngineUnavailable) as caught:
            await wait()
        assert "the Docker Engine has not answered yet; waited 0.3 s for it" == str(caught.value)


async def test_who_waits_in_vain_in_a_gap_is_told_why_and_how_long() -> None:
    readiness = Readiness()
    readiness.rise()
    readiness.fall("connection refused")
    with pytest.raises(EngineUnavailable, match=r"^connection refused; waited 0\.1 s for it$"):
        await readiness.wait()


async def test_in_a_gap_nobody_waits_for_the_list() -> None:
    readiness = Readiness()
    readiness.rise()
    readiness.fall("gone")
    await readiness.wait_listed()


async def test_a_gap_is_bridged() -> None:
    readiness = Readiness()
    readiness.rise()
    readiness.fall("gone")
    waiting = asyncio.create_task(readiness.wait())
    await asyncio.sleep(0.02)
    readiness.rise()
    await waiting


async def test_a_drain_sends_away_who_waits_and_who_comes() -> None:
    readiness = Readiness()
    waiting = asyncio.create_task(readiness.wait())
    await asyncio.sleep(0)
    readiness.drain()
    for wait in (waiting, readiness.wait(), readiness.wait_listed()):
        with pytest.raises(Draining, match="is stopping"):
            await wait


async def test_during_a_drain_the_list_is_still_known() -> None:
    readiness = Readiness()
    readiness.rise()
    readiness.drain()
    await readiness.wait_listed()  # kills go on
    with pytest.raises(Draining):
        await readiness.wait()


async def test_work_is_done_unless_the_process_stops() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 3

    async def failing() -> None:
        raise EngineUnavailable("away")

    readiness = Readiness()
    assert 3 == await readiness.unless_draining(work())
    with pytest.raises(EngineUnavailable, match="away"):
        await readiness.unless_draining(failing())


async def test_a_drain_ends_work_that_waits() -> None:
    readiness, ended = Readiness(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    waiting = asyncio.create_task(readiness.unless_draining(work()))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    readiness.drain()
    with pytest.raises(Draining):
        await waiting
    await asyncio.wait_for(ended.wait(), 2)


async def test_work_ends_with_the_one_who_waits_for_it() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    waiting = asyncio.create_task(Readiness().unless_draining(work()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(ended.wait(), 2)
