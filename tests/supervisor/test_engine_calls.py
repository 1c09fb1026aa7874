"""What the Engine is asked for each end: with hundreds at once, each call too many is seen."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from service.errors import EngineFailed
from service.jobs.labels import LAUNCH_LABEL
from tests.fake_engine.faults import Operation
from tests.supervisor.world import World, a_world, pass_time, until

_OF_AN_END: tuple[Operation, ...] = ("stop", "inspect", "tail", "remove", "list")


async def _asked(world: World, end: Callable[[], Awaitable[None]]) -> dict[str, int]:
    """What the Engine is asked from here until the job is gone, and some time after."""
    before = world.engine.calls.copy()
    await end()
    await until(lambda: world.states() == {})
    await pass_time()
    made = world.engine.calls - before
    return {operation: made[operation] for operation in _OF_AN_END if made[operation]}


@pytest.mark.parametrize(
    ("code", "calls"),
    [
        (0, {"inspect": 1, "remove": 1}),
        (1, {"inspect": 1, "tail": 1, "remove": 1}),
        (137, {"inspect": 1, "tail": 1, "remove": 1}),
    ],
)
async def test_an_exit_costs_a_look_the_output_of_what_failed_and_a_removal(
    world: World, code: int, calls: dict[str, int]
) -> None:
    await world.launch("a-1", "webhook")

    async def end() -> None:
        world.host.exit(world.container("a-1").id, code)

    assert calls == await _asked(world, end)


@pytest.mark.parametrize("stubborn", [{}, {"stubborn": 1}], ids=["heeds", "stubborn"])
async def test_a_kill_costs_a_stop_and_a_removal(world: World, stubborn: dict[str, int]) -> None:
    await world.launch("a-1", "timer", **stubborn)
    assert {"stop": 1, "remove": 1} == await _asked(world, lambda: world.kill("a-1"))
    [entry] = world.logged("job.exited")
    assert (137 if stubborn else 143) == entry["exit_code"]


async def test_a_kill_of_what_nobody_knows_how_it_ended_takes_a_look(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("stop")
    kill = world.killing("a-1")
    await hold.reached()
    world.host.exit(world.container("a-1").id, 3)

    async def end() -> None:
        hold.release()
        await kill

    assert {"inspect": 1, "remove": 1} == await _asked(world, end)
    [entry] = world.logged("job.exited")
    assert 3 == entry["exit_code"]


async def test_in_development_an_exit_is_looked_at_once_and_kept(development: World) -> None:
    await development.launch("a-1")

    async def end() -> None:
        development.host.exit(development.container("a-1-1").id, 0)

    asked = await _asked(development, end)
    assert {"inspect": 1, "tail": 1} == asked


async def test_the_event_of_our_own_removal_asks_the_engine_nothing(world: World) -> None:
    asked = 0
    leaving = world.engine.leaving

    async def counted() -> bool:
        nonlocal asked
        asked += 1
        return await leaving()

    world.engine.leaving = counted  # type: ignore[method-assign]
    await world.launch("a-1")
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: world.states() == {})
    await pass_time()
    assert 1 == asked  # for the exit


async def test_what_is_started_by_hand_is_inspected_once(development: World) -> None:
    world = development
    await world.launch("a-1")
    await world.kill("a-1")
    before = world.engine.calls["inspect"]
    world.host.start(world.container("a-1-1").id)
    await until(lambda: world.states() == {"a-1": "running"})
    await pass_time()
    assert 1 == world.engine.calls["inspect"] - before


@pytest.mark.parametrize("operation", ["stop", "inspect", "remove"])
async def test_a_kill_asks_for_the_same_thing_four_times_at_most(
    world: World, operation: Operation
) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("stop")
    kill = world.killing("a-1")
    await hold.reached()
    world.host.exit(world.container("a-1").id, 1)  # so that an inspect is needed
    for failing in (operation, "set aside"):
        world.faults.fail(failing, EngineFailed("500"), times=99)
    before = world.engine.calls[operation]
    if operation == "stop":
        hold.refuse(EngineFailed("500"))
    else:
        hold.release()
    assert 502 == await kill.answer()
    made = world.engine.calls[operation] - before + (operation == "stop")
    assert 4 <= made <= 5  # a failed kill is followed by one more look


MANY = 1_000


async def _many(world: World) -> None:
    await asyncio.gather(*(world.launch(f"a-{n}", "webhook") for n in range(MANY)))


async def test_many_ends_at_one_moment_are_each_looked_at_once(world: World) -> None:
    await _many(world)
    before = world.engine.calls.copy()
    for container in world.host.live:
        world.host.exit(container.id, 0)
    await until(lambda: world.states() == {}, within=30)
    made = world.engine.calls - before
    assert (MANY, MANY) == (made["inspect"], made["remove"])
    assert {"success": MANY} == world.outcomes("supervisor_exits_total")


async def test_many_kills_at_once_cost_two_calls_each(world: World) -> None:
    await _many(world)
    before = world.engine.calls.copy()
    assert 0 == await world.killing_all().answer()
    made = world.engine.calls - before
    assert (MANY, MANY, 0) == (made["stop"], made["remove"], made["inspect"])
    assert {"stopped": MANY} == world.outcomes("supervisor_kills_total")


async def test_many_that_run_on_behind_a_gap_are_looked_at_side_by_side(world: World) -> None:
    await _many(world)
    before, began = world.engine.calls.copy(), asyncio.get_running_loop().time()
    world.engine.latency = lambda: 0.01
    world.engine.disconnect()
    await until(lambda: not world.readiness.ready)
    await world.ready()
    assert MANY == (world.engine.calls - before)["inspect"]
    assert asyncio.get_running_loop().time() - began < 4  # one after the other it would be 20
    assert MANY == len(world.states())


async def test_many_orphans_are_looked_at_and_removed_side_by_side() -> None:
    async with a_world(orphan_grace_seconds=0) as world:
        await world.launch("a-1")
        spec = world.container("a-1").spec
        for n in range(MANY):
            labels = {**spec.labels, LAUNCH_LABEL: f"{n:016}"}
            world.host.create(replace(spec, name=f"left-{n}", labels=labels))
        await pass_time()
        world.engine.latency = lambda: 0.01
        began = asyncio.get_running_loop().time()
        world.engine.disconnect()
        await until(lambda: world.left() == ["a-1"], within=60)
        assert asyncio.get_running_loop().time() - began < 20  # one by one it would be 50
        await until(lambda: MANY == world.metric("supervisor_orphans_removed_total"))
