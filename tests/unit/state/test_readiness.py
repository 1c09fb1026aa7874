import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from service.errors import Draining, EngineUnavailable
from service.state import readiness as module
from service.state.readiness import Readiness
from service.support import retry
from tests.support.clock import skipping_waits


@pytest.fixture(autouse=True)
async def _no_wait_takes_time() -> AsyncIterator[None]:
    with skipping_waits():
        yield


def test_requests_wait_30_s_for_the_start_and_5_s_in_a_gap() -> None:
    assert (30, 5) == (module.START_SECONDS, retry.GAP_SECONDS)


def test_at_first_nothing_is_known() -> None:
    readiness = Readiness("Docker Engine")
    assert (False, False, False) == (readiness.ready, readiness.listed, readiness.draining)
    assert "the Docker Engine has not answered yet" == readiness.reason


def test_it_is_ready_once_in_step() -> None:
    readiness = Readiness("Docker Engine")
    readiness.set_in_step()
    assert (True, True, "ready") == (readiness.ready, readiness.listed, readiness.reason)


def test_it_is_not_ready_in_a_gap_but_still_has_a_last_known_state() -> None:
    readiness = Readiness("Docker Engine")
    readiness.set_in_step()
    readiness.set_away("connection refused")
    assert (False, True, "connection refused") == (
        readiness.ready,
        readiness.listed,
        readiness.reason,
    )


def test_where_it_will_not_be_ready_again_it_says_so() -> None:
    readiness = Readiness("Docker Engine")
    readiness.set_in_step()
    readiness.set_away("connection refused")
    assert not readiness.needs_restart
    readiness.set_away("deleted", for_good=True)
    assert (False, True) == (readiness.ready, readiness.needs_restart)
    readiness.set_away("connection refused")
    assert not readiness.needs_restart
    readiness.set_away("deleted", for_good=True)
    readiness.set_in_step()
    assert not readiness.needs_restart


def test_a_drain_is_for_good_and_keeps_its_reason() -> None:
    readiness = Readiness("Docker Engine")
    readiness.set_in_step()
    readiness.drain()
    for change in (readiness.set_in_step, lambda: readiness.set_away("connection refused")):
        change()
        assert (False, "the supervisor is stopping") == (readiness.ready, readiness.reason)


def test_listeners_hear_of_every_change() -> None:
    readiness, heard, also = Readiness("Docker Engine"), list[bool](), list[bool]()
    readiness.subscribe(heard.append)
    readiness.subscribe(also.append)
    readiness.set_in_step()
    readiness.set_away("gone")
    readiness.set_in_step()
    readiness.drain()
    assert [True, False, True, False] == heard == also


async def test_who_finds_it_ready_does_not_wait() -> None:
    readiness = Readiness("Docker Engine")
    readiness.set_in_step()
    began = time.monotonic()
    await readiness.wait()
    await readiness.wait_listed()
    assert began == time.monotonic()


async def test_who_waits_for_the_start_goes_on_with_it() -> None:
    readiness = Readiness("Docker Engine")
    waiting = [asyncio.create_task(readiness.wait()), asyncio.create_task(readiness.wait_listed())]
    await asyncio.sleep(20)  # longer than in a gap
    assert not any(task.done() for task in waiting)
    readiness.set_in_step()
    await asyncio.gather(*waiting)


async def test_who_waits_in_vain_for_the_start_is_told_why_and_how_long() -> None:
    for wait in (Readiness("Docker Engine").wait, Readiness("Docker Engine").wait_listed):
        with pytest.raises(EngineUnavailable) as caught:
            await wait()
        assert "the Docker Engine has not answered yet; waited 30 s for it" == str(caught.value)


async def test_who_waits_in_vain_in_a_gap_is_told_why_and_how_long() -> None:
    readiness = Readiness("Docker Engine")
    readiness.set_in_step()
    readiness.set_away("connection refused")
    with pytest.raises(EngineUnavailable, match=r"^connection refused; waited 5 s for it$"):
        await readiness.wait()


async def test_in_a_gap_nobody_waits_for_the_list() -> None:
    readiness = Readiness("Docker Engine")
    readiness.set_in_step()
    readiness.set_away("gone")
    await readiness.wait_listed()


async def test_a_gap_is_bridged() -> None:
    readiness = Readiness("Docker Engine")
    readiness.set_in_step()
    readiness.set_away("gone")
    waiting = asyncio.create_task(readiness.wait())
    await asyncio.sleep(2)
    readiness.set_in_step()
    await waiting


async def test_a_drain_sends_away_who_waits_and_who_comes() -> None:
    readiness = Readiness("Docker Engine")
    waiting = asyncio.create_task(readiness.wait())
    await asyncio.sleep(0)
    readiness.drain()
    for wait in (waiting, readiness.wait(), readiness.wait_listed()):
        with pytest.raises(Draining, match="is stopping"):
            await wait


async def test_during_a_drain_the_list_is_still_known() -> None:
    readiness = Readiness("Docker Engine")
    readiness.set_in_step()
    readiness.drain()
    await readiness.wait_listed()  # kills go on
    with pytest.raises(Draining):
        await readiness.wait()


def _ready() -> Readiness:
    readiness = Readiness("Docker Engine")
    readiness.set_in_step()
    return readiness


async def test_work_is_done_when_it_can_be() -> None:
    async def work() -> int:
        return 3

    async def failing() -> None:
        raise EngineUnavailable("away")

    assert 3 == await _ready().when_ready(work)
    with pytest.raises(EngineUnavailable, match="away"):
        await _ready().when_ready(failing)


class _Work:
    """Something that takes long, the first time."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    async def __call__(self) -> int:
        self.begun += 1
        try:
            if self.begun == 1:
                await asyncio.sleep(3600)
        finally:
            self.ended += 1
        return self.begun


async def test_a_drain_ends_work_that_waits() -> None:
    readiness, work = _ready(), _Work()
    waiting = asyncio.create_task(readiness.when_ready(work))
    await asyncio.sleep(0.01)
    assert (1, 0) == (work.begun, work.ended)
    readiness.drain()
    with pytest.raises(Draining):
        await waiting
    assert 1 == work.ended


async def test_work_that_waits_begins_anew_when_the_engine_is_back() -> None:
    readiness, work = _ready(), _Work()
    waiting = asyncio.create_task(readiness.when_ready(work))
    await asyncio.sleep(0.01)
    readiness.set_away("away")
    await asyncio.sleep(0.01)
    assert (1, 1, False) == (work.begun, work.ended, waiting.done())
    readiness.set_in_step()
    assert 2 == await waiting


async def test_work_that_waits_for_an_engine_that_stays_away_is_given_up() -> None:
    readiness, work = _ready(), _Work()
    waiting = asyncio.create_task(readiness.when_ready(work))
    await asyncio.sleep(0.01)
    readiness.set_away("away")
    with pytest.raises(EngineUnavailable, match="away; waited"):
        await waiting


async def test_work_ends_with_the_one_who_waits_for_it() -> None:
    work = _Work()
    waiting = asyncio.create_task(_ready().when_ready(work))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert 1 == work.ended


async def test_what_is_done_when_its_caller_goes_is_undone() -> None:
    slots = asyncio.Semaphore(1)
    await slots.acquire()
    waiting = asyncio.create_task(_ready().when_ready(slots.acquire, undo=slots.release))
    await asyncio.sleep(0.01)
    slots.release()
    for _ in range(2):  # it has the slot, and does not know of it yet
        await asyncio.sleep(0)
    assert slots.locked()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not slots.locked()


async def test_no_task_is_left_that_waits_for_a_gap() -> None:
    async def failing() -> None:
        raise EngineUnavailable("away")

    before = asyncio.all_tasks()
    await _ready().when_ready(lambda: asyncio.sleep(0))
    with pytest.raises(EngineUnavailable):
        await _ready().when_ready(failing)
    waiting = asyncio.create_task(_ready().when_ready(_Work()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for _ in range(2):  # what is cancelled has a turn to end
        await asyncio.sleep(0)
    assert before == asyncio.all_tasks()
