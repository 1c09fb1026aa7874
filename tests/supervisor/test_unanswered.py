"""Containers that the Engine lists and answers nothing about: they hold up nothing else."""

import asyncio
from typing import Any

from service.engine.workloads import Inspection
from service.jobs.labels import labels_of
from tests.fake_engine.host import Container
from tests.supervisor.world import NOTICE, World, a_world, pass_time, refuse_removal, until
from tests.support.samples import a_job

COMPARE = 30.0
# How long what waits for the Engine waits.
PATIENCE = 5.0
STUCK = [f"stuck-{n:02}" for n in range(40)]
FREE = [f"free-{n:02}" for n in range(20)]
# With the Engine at once, of what no event tells: for the first time, and again.
LOOKS = 8 + 4


async def _come_back_with_stuck_ones(
    world: World, *, dead: bool, gone: str | None = None
) -> list[Container]:
    """An Engine's return after which some containers, dead or alive, are stuck, and one is gone."""
    await asyncio.gather(*(world.launch(each) for each in STUCK + FREE))
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    stuck = [world.container(each) for each in STUCK]
    for container in stuck:
        world.engine.stuck.add(container.id)
        if dead:
            world.host.exit(container.id, 137)
    if gone:
        await world.host.remove(world.container(gone).id, force=True)
    world.engine.come_back()
    return stuck


class Looks:
    """Counts the looks that somebody waits for, and how many there were at once."""

    def __init__(self, world: World) -> None:
        self.now = self.most = 0
        self._really = world.engine.inspect
        world.engine.inspect = self._inspect  # type: ignore[method-assign]

    async def _inspect(self, workload_id: str, **more: Any) -> Inspection:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self._really(workload_id, **more)
        finally:
            self.now -= 1


async def test_what_cannot_be_looked_at_holds_up_neither_launches_nor_kills_nor_exits(
    world: World,
) -> None:
    await _come_back_with_stuck_ones(world, dead=True)
    launch = world.launching("new")
    await until(lambda: world.readiness.ready, within=PATIENCE)
    assert 0 == await launch.answer()
    await world.kill(FREE[0])
    world.host.exit(world.container(FREE[1]).id, 1)
    await until(lambda: FREE[1] not in world.states(), within=NOTICE)
    assert {*FREE[2:], "new"} == world.listed().keys()
    [told] = world.logged("compare.incomplete")
    assert STUCK[:10] == told["identifiers"]
    assert len(STUCK) <= told["jobs"] <= len(STUCK + FREE)


async def test_what_cannot_be_looked_at_is_looked_at_again_until_it_can(world: World) -> None:
    compared = world.metric("supervisor_reconcile_last_success_timestamp_seconds")
    looks = Looks(world)
    await _come_back_with_stuck_ones(world, dead=True)
    await world.ready()
    heard: list[bool] = []
    world.readiness.subscribe(heard.append)
    await pass_time(4 * COMPARE)
    assert 0 < looks.most <= LOOKS
    assert [] == heard
    assert len(world.logged("compare.incomplete")) >= 3
    assert compared == world.metric("supervisor_reconcile_last_success_timestamp_seconds")
    world.engine.stuck.clear()
    await until(lambda: world.states().keys() == set(FREE), within=2 * COMPARE)
    assert {"lost": len(STUCK)} == world.outcomes("supervisor_exits_total")
    await pass_time(COMPARE)
    assert compared < world.metric("supervisor_reconcile_last_success_timestamp_seconds")


async def test_a_launch_does_not_take_what_is_listed_as_dead_for_running(world: World) -> None:
    await _come_back_with_stuck_ones(world, dead=True)
    await world.ready()
    launch = world.launching(STUCK[0])
    await pass_time(2 * PATIENCE)
    assert not launch.done
    world.engine.stuck.clear()
    assert 0 == await launch.answer()
    assert STUCK[0] in world.running()
    assert 0 == world.metric("supervisor_dedups_total")


async def test_what_is_gone_does_not_wait_behind_what_cannot_be_looked_at(world: World) -> None:
    await _come_back_with_stuck_ones(world, dead=True, gone=FREE[-1])
    await until(lambda: world.readiness.ready, within=PATIENCE)
    await world.launch(FREE[-1])
    assert FREE[-1] in world.running()
    assert 0 == world.metric("supervisor_dedups_total")


async def test_what_is_listed_as_running_stays_a_job(world: World) -> None:
    stuck = await _come_back_with_stuck_ones(world, dead=False)
    await until(lambda: world.readiness.ready, within=PATIENCE)
    await world.launch(STUCK[0])
    assert 1 == world.metric("supervisor_dedups_total")
    await pass_time(2 * COMPARE)
    assert {*STUCK, *FREE} == world.listed().keys()
    world.host.exit(stuck[0].id, 1)
    world.engine.stuck.clear()
    await until(lambda: STUCK[0] not in world.states(), within=NOTICE)


async def test_what_is_listed_as_dead_and_runs_again_is_a_job_again(world: World) -> None:
    stuck = await _come_back_with_stuck_ones(world, dead=True)
    await world.ready()
    assert STUCK[0] not in world.listed()
    world.host.start(stuck[0].id)
    world.engine.stuck.clear()
    await until(lambda: STUCK[0] in world.listed(), within=COMPARE)
    assert STUCK[0] in world.running()


async def test_a_look_that_is_not_answered_is_not_made_again_at_once(world: World) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    world.engine.stuck.add(container.id)
    world.host.exit(container.id, 1)
    await pass_time(2.5)  # it has had two seconds
    assert 1 == world.engine.calls["inspect"]
    await pass_time(1.5)  # after a second it is looked at again, for ten
    assert 2 == world.engine.calls["inspect"]
    await pass_time(8)
    assert 2 == world.engine.calls["inspect"]
    world.engine.stuck.clear()
    await until(lambda: world.states() == {}, within=NOTICE)
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_a_start_waits_for_what_it_does_not_know_yet() -> None:
    """What it cannot look at, it does not launch a second time either."""
    async with a_world(started=False, adopt=True) as world:
        for number, name in enumerate(("stuck", "free")):
            labels = labels_of(a_job(str(number) * 16, identifier=name), "default")
            world.put(name, dict(labels))
        world.engine.stuck.add(world.container("stuck").id)
        world.watch()
        await pass_time(2 * PATIENCE)
        assert not world.readiness.ready
        await world.ready()
        assert {"free": "running"} == world.states()
        assert 504 == await world.launching("stuck").answer()
        await world.launch("another")
        world.engine.stuck.clear()
        await until(lambda: "stuck" in world.states(), within=2 * COMPARE)
        assert ["another", "free", "stuck"] == world.running()


async def test_what_is_refused_once_does_not_wait_behind_what_is_not_answered(
    world: World,
) -> None:
    await _come_back_with_stuck_ones(world, dead=True)
    await world.ready()
    await pass_time(15)  # by now all turns are taken
    refuse_removal(world)
    world.host.exit(world.container(FREE[0]).id, 1)
    await pass_time(0.5)
    assert FREE[0] in world.states()
    await until(lambda: FREE[0] not in world.states(), within=NOTICE)


async def test_a_kill_of_what_is_not_answered_about_is_a_504_and_can_be_made_again(
    world: World,
) -> None:
    """Whether the Engine lists it as running or not: nobody can tell whether it is gone."""
    [_, alive, *_] = await _come_back_with_stuck_ones(world, dead=True)
    world.host.start(alive.id)
    await world.ready()
    kills = [world.killing(STUCK[0]), world.killing(STUCK[1])]
    assert [504, 504] == [await kill.answer() for kill in kills]
    everything = world.killing_all()
    assert 504 == await everything.answer()
    assert f"{len(STUCK)} of {len(STUCK + FREE)} jobs" in str(everything.error)
    assert [alive] == world.host.live
    world.engine.stuck.clear()
    assert 0 == await world.killing_all().answer()
    assert ({}, []) == (world.states(), world.left())
