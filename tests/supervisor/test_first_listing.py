"""A start removes what an earlier run has left, and requests wait for it."""

import asyncio

import pytest

from service.engine.workloads import Status
from tests.supervisor.world import World, is_live, pass_time, refuse_removal, until


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_start_removes_ours_and_nothing_else(unstarted: World) -> None:
    world = unstarted
    ours = {"area.supervisor.instance": "default"}
    for n in range(3):
        world.put(f"a-{n}", ours)
    world.host.exit(world.container("a-2").id, 1)
    world.put("b-1")
    world.put("b-2", {"area.supervisor.instance": "another"})
    world.watch()
    await world.ready()
    assert ["b-1", "b-2"] == world.left() == world.running()
    assert 3 == world.metric("supervisor_orphans_removed_total")
    assert {} == world.states()
    assert {} == world.counted()


async def test_the_start_lets_them_heed_sigterm(unstarted: World) -> None:
    container = unstarted.put("a-1", {"area.supervisor.instance": "default"})
    unstarted.watch()
    await unstarted.ready()
    assert 143 == container.exit_code


async def test_a_container_that_cannot_be_removed_does_not_stop_the_start(
    unstarted: World,
) -> None:
    unstarted.put("a-1", {"area.supervisor.instance": "default"})
    refuse_removal(unstarted)
    unstarted.watch()
    await unstarted.ready()
    assert 1 == len(unstarted.logged("janitor.failed"))


async def test_a_later_connection_removes_nothing_that_runs(world: World) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    world.engine.come_back()
    await world.ready()
    assert container is world.container("a-1")
    assert is_live(container)


async def test_requests_wait_for_the_first_listing(unstarted: World) -> None:
    world = unstarted
    world.engine.go_away()
    world.watch()
    asked = [world.killing("a-2"), world.killing_all(), world.launching("a-1")]
    await pass_time(20)
    assert not any(each.done for each in asked)
    assert not world.readiness.listed
    world.engine.come_back()
    assert [0] * 3 == [await each.answer() for each in asked]
    assert world.readiness.listed
    assert ["a-1"] == world.running()


async def test_requests_wait_for_thirty_seconds_at_most(unstarted: World) -> None:
    world = unstarted
    world.engine.go_away()
    world.watch()
    began = now()
    asked = [world.launching("a-1"), world.killing("a-2"), world.killing_all()]
    assert [503] * 3 == [await each.answer() for each in asked]
    assert pytest.approx(now() - began, abs=0.1) == 30
    assert {} == world.states()
    assert 3 == world.metric("supervisor_failures_total", reason="unavailable")


async def test_a_launch_does_not_meet_what_an_earlier_run_left(unstarted: World) -> None:
    world = unstarted
    old = world.put("a-1", {"area.supervisor.instance": "default"})
    world.host.removal_seconds = 3
    world.watch()
    assert 0 == await world.launching("a-1").answer()
    assert old is not world.container("a-1")
    assert ["a-1"] == world.left()


async def test_an_engine_that_goes_away_during_the_cleaning_is_cleaned_later(
    unstarted: World,
) -> None:
    world = unstarted
    world.put("a-1", {"area.supervisor.instance": "default"})
    hold = world.faults.hold("remove")
    world.watch()
    await hold.reached()
    world.engine.go_away()
    await pass_time()
    assert not world.readiness.listed
    world.engine.come_back()
    await world.ready()
    assert [] == world.left()


async def test_an_engine_that_hangs_from_the_start_is_waited_for(unstarted: World) -> None:
    world = unstarted
    world.engine.hang()
    world.watch()
    launch = world.launching("a-1")
    await pass_time(15)
    assert not launch.done
    world.engine.wake()
    assert 0 == await launch.answer()


async def test_removing_containers_count_as_gone_only_when_they_are(world: World) -> None:
    await world.launch("a-1")
    world.host.removal_seconds = 1.5
    container = world.container("a-1")
    world.host.exit(container.id, 0)
    await until(lambda: container.status is Status.REMOVING)
    assert ({"a-1": "exited"}, {}) == (world.states(), world.listed())
    await world.launch("a-1")
    assert ["a-1"] == world.running()
