"""The registry follows what third parties do: they start containers again, and have their own."""

import asyncio
from typing import Any

import pytest

from service.engine.workloads import Inspection
from service.lifecycle.exit_hints import Hint
from tests.supervisor.world import NOTICE, World, pass_time, until

COMPARE = 30.0


async def test_what_a_third_party_starts_again_is_live_again(world: World) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    hold = world.faults.hold("remove")
    world.host.exit(container.id, 0)
    await hold.reached()
    assert ({"a-1": "exited"}, {}) == (world.states(), world.listed())
    world.host.start(container.id)
    hold.release()
    await until(lambda: world.states() == {"a-1": "running"})
    await world.launch("a-1")
    assert {"launches": 1, "dedups": 1} == world.counted()
    assert container is world.container("a-1")


async def test_a_launch_that_waits_for_what_is_started_again_is_a_dedup(world: World) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    hold = world.faults.hold("remove")
    world.host.exit(container.id, 0)
    await hold.reached()
    launch = world.launching("a-1")
    await pass_time()
    world.host.start(container.id)
    hold.release()
    assert 0 == await launch.answer()
    assert {"launches": 1, "dedups": 1} == world.counted()
    assert {"a-1": "running"} == world.states()


async def test_in_development_a_kept_container_that_is_started_again_is_a_job(
    development: World,
) -> None:
    world = development
    await world.launch("a-1")
    await world.kill("a-1")
    world.host.start(world.container("a-1-1").id)
    await until(lambda: world.states() == {"a-1": "running"})
    await world.launch("a-1")
    assert ["a-1-1"] == world.running()
    await world.kill("a-1")
    assert [] == world.running()


@pytest.mark.parametrize("news_first", [False, True])
@pytest.mark.parametrize("turns", range(12))
async def test_in_development_what_runs_again_while_it_is_closed_is_a_job(
    development: World, turns: int, *, news_first: bool
) -> None:
    """In whichever turn of the loop, relative to the close, the news of it comes."""

    async def start_again() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        world.host.start(container.id)

    world = development
    world.engine.latency = lambda: 0.0
    await world.launch("a-1")
    container = world.container("a-1-1")
    hold = world.faults.hold("tail", after=True)
    world.host.exit(container.id, 1)
    await hold.reached()
    if news_first:
        starting = asyncio.create_task(start_again())
        hold.release()
    else:
        hold.release()
        starting = asyncio.create_task(start_again())
    await starting
    await pass_time()
    assert {"a-1": "running"} == world.states()
    assert ["a-1-1"] == world.running()


async def test_in_development_the_older_of_two_is_stopped(development: World) -> None:
    world = development
    await world.launch("a-1")
    await world.kill("a-1")
    await world.launch("a-1")
    world.host.start(world.container("a-1-1").id)
    await until(lambda: world.running() == ["a-1-2"])
    await pass_time()
    assert {"a-1": "running"} == world.states()
    assert 1 == len(world.logged("job.surplus"))


async def test_an_exit_right_after_a_look_that_found_it_live_is_noticed(world: World) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    hold = world.faults.hold("inspect", after=True)
    world.host.exit(container.id, 0)
    world.host.start(container.id)
    await hold.reached()  # its answer says: live
    world.host.exit(container.id, 1)
    await pass_time(0.1)
    hold.release()
    await until(lambda: world.states() == {})
    assert [] == world.left()


async def test_an_exit_at_the_very_end_of_a_look_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.launch("a-1")
    [job] = world.supervisor.list_jobs()
    container = world.container("a-1")
    live = await world.engine.inspect(container.id)
    answered = asyncio.Event()

    async def inspect(_: str, **__: Any) -> Inspection:
        await answered.wait()
        monkeypatch.undo()
        return live

    async def exit_and_tell() -> None:
        await answered.wait()  # woken in the same turn of the loop as the look, and after it
        hint = Hint(exit_code=1, witnessed=True)
        world.host.exit(container.id, 1)
        await world.reaper.reap(job.launch_id, hint, workload_id=container.id)

    monkeypatch.setattr(world.engine, "inspect", inspect)
    look = asyncio.create_task(world.reaper.reap(job.launch_id, Hint(witnessed=True)))
    await pass_time(0.1)
    told = asyncio.create_task(exit_and_tell())
    world.engine.disconnect()  # so that only this hint tells of it, and no event
    await asyncio.sleep(0)
    answered.set()
    await asyncio.gather(look, told)
    assert ({}, []) == (world.states(), world.left())


async def test_a_start_by_hand_while_an_exit_is_looked_into_is_noticed(development: World) -> None:
    world = development
    await world.launch("a-1")
    container = world.container("a-1-1")
    hold = world.faults.hold("tail")
    world.host.exit(container.id, 1)
    await hold.reached()
    world.host.start(container.id)
    await pass_time(0.1)
    hold.release()
    await until(lambda: world.states() == {"a-1": "running"})
    assert ["a-1-1"] == world.running()


async def test_a_strangers_containers_are_none_of_ours(world: World) -> None:
    stranger = world.put("b-1", {"area.supervisor.instance": "another"})
    world.host.exit(stranger.id, 1)
    world.host.start(stranger.id)
    await pass_time(COMPARE + NOTICE)
    assert ({}, ["b-1"]) == (world.states(), world.running())
