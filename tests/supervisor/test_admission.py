"""Bursts and floods: who waits, who is refused, and what goes through all the same."""

import asyncio
from typing import Any

import pytest

from service.errors import EngineTimeout
from tests.supervisor.world import World, a_world, pass_time, until

FEW: dict[str, Any] = {"max_launches_under_way": 2, "max_launches_waiting": 3}


def _in_progress(world: World) -> tuple[float, ...]:
    states = ("under_way", "waiting", "limit")
    return tuple(world.metric("supervisor_launches_in_progress", state=s) for s in states)


async def test_a_burst_waits_its_turn_and_loses_none(world: World) -> None:
    asked = [world.launching(f"a-{number}") for number in range(500)]
    await until(lambda: _in_progress(world)[0] > 0)
    assert (8, 492, 1008) == _in_progress(world)
    assert {0} == {await each.answer() for each in asked}
    assert 500 == len(world.running())
    assert (0, 0, 1008) == _in_progress(world)


async def test_past_the_bound_a_launch_is_refused_at_once_and_the_rest_goes_through() -> None:
    async with a_world(**FEW) as world:
        await world.launch("runs")
        world.engine.hang()
        inside = [world.launching(f"a-{number}") for number in range(5)]
        await until(lambda: len(world.states()) == 6)
        refused = world.launching("one-too-many")
        assert 429 == await refused.answer()
        assert refused.error is not None
        assert "MAX_LAUNCHES_WAITING=3" in refused.error.message
        await world.launch("runs")  # a dedup
        joined = world.launching("a-0")
        kill = world.killing("runs")
        await until(lambda: world.states()["runs"] == "stopping")
        world.engine.wake()
        assert {0} == {await each.answer() for each in [*inside, joined, kill]}
        assert 1 == world.metric("supervisor_failures_total", reason="limit")
        assert "one-too-many" not in world.states()
        await world.launch("one-too-many")


async def test_before_the_first_listing_the_bound_holds_too() -> None:
    async with a_world(started=False, **FEW) as world:
        waiting = [world.launching(f"a-{number}") for number in range(5)]
        await asyncio.sleep(0)
        assert 429 == await world.launching("one-too-many").answer()
        world.watch()
        assert {0} == {await each.answer() for each in waiting}


async def test_as_many_jobs_run_as_may() -> None:
    async with a_world(max_running_jobs=2) as world:
        await world.launch("a-1")
        await world.launch("a-2")
        refused = world.launching("a-3")
        assert 429 == await refused.answer()
        assert refused.error is not None
        assert "MAX_RUNNING_JOBS=2" in refused.error.message
        await world.launch("a-1")  # a dedup needs no room
        kill, again = world.killing("a-1"), world.launching("a-1")
        await kill
        await again  # nor does a successor, which waits for its predecessor
        assert ["a-1", "a-2"] == world.running()
        await world.kill("a-2")
        await world.launch("a-3")


async def test_a_failed_launch_gives_its_place_back() -> None:
    async with a_world(**FEW) as world:
        for _ in range(10):
            assert 422 == await world.launching("m-1", "missing").answer()
        assert (0, 0, 5) == _in_progress(world)


async def test_a_launch_that_fails_is_no_job_that_runs() -> None:
    async with a_world(max_running_jobs=1) as world:
        for _ in range(3):
            assert 422 == await world.launching("m-1", "missing").answer()
        hold = world.faults.hold("create")
        failing = world.launching("m-1", "missing")
        await hold.reached()
        assert 429 == await world.launching("a-1").answer()  # until it has failed it may yet run
        hold.release()
        assert 422 == await failing.answer()
        await world.launch("a-1")


async def test_what_waits_and_is_wanted_no_more_is_dropped() -> None:
    async with a_world(**FEW) as world:
        world.engine.hang()
        asked = [world.launching(f"a-{number}") for number in range(4)]
        await until(lambda: _in_progress(world) == (2, 2, 5))
        asked[3].hang_up()
        await until(lambda: "a-3" not in world.states())
        assert (2, 1, 5) == _in_progress(world)
        world.engine.wake()
        assert [0] * 3 == [await each.answer() for each in asked[:3]]
        await pass_time()
        assert ["a-0", "a-1", "a-2"] == world.running()


async def test_what_another_client_waits_for_is_not_dropped() -> None:
    async with a_world(max_launches_under_way=1) as world:
        world.engine.hang()
        first = world.launching("a-0")
        await until(lambda: _in_progress(world)[0] == 1)
        queued, joined = world.launching("a-1"), world.launching("a-1")
        await asyncio.sleep(0.01)
        queued.hang_up()
        await asyncio.sleep(0.01)
        world.engine.wake()
        await first
        await joined
        assert ["a-0", "a-1"] == world.running()


async def test_a_launch_right_behind_one_that_is_dropped_is_a_launch_of_its_own() -> None:
    async with a_world(max_launches_under_way=1) as world:
        world.engine.hang()
        first = world.launching("a-0")
        await until(lambda: _in_progress(world)[0] == 1)
        dropped = world.launching("a-1")
        await asyncio.sleep(0.01)
        dropped.hang_up()
        await asyncio.sleep(0)  # it is being dropped, and its identifier still taken
        again = world.launching("a-1")
        world.engine.wake()
        await first
        await again
        assert ["a-0", "a-1"] == world.running()
        assert 2 == world.metric("supervisor_launches_total")


async def test_dropping_leaves_no_turn_taken() -> None:
    """Also if it comes in the very moment in which the turn comes."""
    async with a_world(max_launches_under_way=1) as world:
        for delay in range(12):
            hold = world.faults.hold("create")
            first = world.launching(f"a-{delay}")
            await hold.reached()
            dropped = world.launching(f"b-{delay}")
            await asyncio.sleep(0.01)
            hold.refuse(EngineTimeout("slow"))
            for _ in range(delay):
                await asyncio.sleep(0)
            dropped.hang_up()
            assert 504 == await first.answer()
            await pass_time(1)
            assert 0 == _in_progress(world)[0]
        await world.launch("c-1")


@pytest.mark.parametrize("keep", [False, True])
async def test_draining_answers_everything_that_waits(keep: bool) -> None:
    async with a_world(keep=keep, max_launches_under_way=1) as world:
        world.engine.hang()
        asked = [world.launching(f"a-{number}") for number in range(50)]
        await until(lambda: _in_progress(world)[0] == 1)
        world.readiness.drain()
        assert [503] * 49 == [await each.answer() for each in asked[1:]]
        world.engine.wake()
        assert 0 == await asked[0].answer()
