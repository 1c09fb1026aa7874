"""Launches while an operator has them refused, and all that goes on."""

import asyncio

from service.errors import Cordoned
from tests.supervisor.world import World, a_world, until


async def test_a_new_launch_is_refused_with_the_reason_and_leaves_nothing(world: World) -> None:
    world.cordon.set("maintenance")
    asked = world.launching("a-1")
    assert 503 == await asked.answer()
    assert isinstance(asked.error, Cordoned)
    assert "the supervisor is cordoned: no new launches, maintenance" == str(asked.error)
    assert 503 == await world.launching("a-1", "mail").answer()
    assert ([], {}) == (world.left(), world.listed())
    assert 2 == world.metric("supervisor_failures_total", reason="cordoned")
    assert 0 == world.metric("supervisor_failures_total", reason="unavailable")
    world.cordon.lift()
    await world.launch("a-1")
    assert ["a-1"] == world.running()


async def test_repeats_kills_and_lists_go_on(world: World) -> None:
    await world.launch("a-1")
    await world.launch("m-1", "mail", seconds=1)
    await world.launching("k-1", key="one")
    world.cordon.set("")
    await world.launch("a-1")  # the very same request
    await world.launch("a-1", seconds=2)  # another one
    await world.launching("k-1", key="one")
    assert 3 == world.metric("supervisor_dedups_total")
    await world.launch("n-1", "nothing")  # which launches nothing
    assert {"a-1": "running", "m-1": "running", "k-1": "running"} == world.listed()
    await world.kill("a-1")
    assert ["k-1"] == [name for name in world.running() if not name.startswith("m-1")]
    assert 503 == await world.launching("a-1").answer()
    await world.killing_all()
    assert [] == world.running()


async def test_a_wrong_request_is_told_what_is_wrong_with_it(world: World) -> None:
    world.cordon.set("maintenance")
    assert 404 == await world.launching("a-1", "unknown").answer()
    assert 400 == await world.launching(" ").answer()


async def test_what_was_accepted_before_goes_on() -> None:
    async with a_world(max_launches_under_way=1) as world:
        asked = [world.launching(f"b-{number}") for number in range(5)]
        await asyncio.sleep(0)
        world.cordon.set("maintenance")
        shared = world.launching("b-4")
        assert 503 == await world.launching("late-1").answer()
        assert {0} == {await each.answer() for each in [*asked, shared]}
        assert 5 == len(world.running())


async def test_who_waits_for_the_first_listing_is_not_accepted_yet(unstarted: World) -> None:
    asked = unstarted.launching("a-1")
    await asyncio.sleep(0)
    unstarted.cordon.set("maintenance")
    unstarted.watch()
    assert 503 == await asked.answer()


async def test_a_job_is_started_again_as_its_policy_says(world: World) -> None:
    await world.launch("a-1", "again")
    world.cordon.set("maintenance")
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: bool(world.logged("job.backing_off")))
    await until(lambda: world.metric("supervisor_restarts_total") == 1, within=40)
    assert ["a-1"] == world.running()


async def test_a_restart_of_the_supervisor_forgets_it(world: World) -> None:
    world.cordon.set("maintenance")
    async with a_world() as next_one:
        await next_one.launch("a-1")
