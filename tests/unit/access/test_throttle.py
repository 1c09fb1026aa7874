"""Answers to wrong tokens take longer, and nothing else does."""

import asyncio

from service.access import throttle as module
from service.access.throttle import Throttle
from tests.support.clock import skipping_waits


async def delay(throttle: Throttle, address: str) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await throttle.wait(address)
    return round(loop.time() - began, 3)


async def test_wrong_tokens_in_a_row_take_longer_by_a_second_at_most() -> None:
    with skipping_waits():
        throttle = Throttle(10)
        delays = [await delay(throttle, "10.0.0.1") for _ in range(10)]
    assert [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1, 1, 1] == delays


async def test_addresses_wait_for_themselves_and_a_right_token_ends_the_row() -> None:
    with skipping_waits():
        throttle = Throttle(10)
        throttle.forget("10.0.0.1")
        for _ in range(5):
            await throttle.wait("10.0.0.1")
        assert 0.01 == await delay(throttle, "10.0.0.2")
        throttle.forget("10.0.0.1")
        assert 0.01 == await delay(throttle, "10.0.0.1")


async def test_it_keeps_some_thousand_addresses_those_of_the_last_wrong_tokens() -> None:
    with skipping_waits():
        throttle = Throttle(10)
        for number in range(module._MOST_ADDRESSES + 10):
            await throttle.wait(f"10.0.{number}")
            if number < 2:
                await throttle.wait("10.0.0.1")
        assert module._MOST_ADDRESSES == len(throttle._delays)
        assert 0.02 == await delay(throttle, f"10.0.{number}")
        assert 0.01 == await delay(throttle, "10.0.0.1"), "it is forgotten"


async def test_only_so_many_answers_wait_at_a_time() -> None:
    with skipping_waits():
        throttle = Throttle(3)
        waiting = [asyncio.create_task(delay(throttle, "10.0.0.1")) for _ in range(5)]
        await asyncio.wait(waiting)
        assert [0.01, 0.02, 0.04, 0, 0] == [each.result() for each in waiting]
        assert 0.32 == await delay(throttle, "10.0.0.1"), "the others count in the row"


async def test_answers_that_have_waited_make_room_for_as_many_others() -> None:
    with skipping_waits():
        throttle = Throttle(2)
        for _ in range(3):
            await throttle.wait("10.0.0.1")
        waiting = [asyncio.create_task(delay(throttle, f"10.0.0.{n}")) for n in (2, 3, 4)]
        await asyncio.wait(waiting)
        assert [0.01, 0.01, 0] == [each.result() for each in waiting]
