"""What the Engine is asked for each end: with hundreds at once, each call too many is seen."""

from collections.abc import Awaitable, Callable

import pytest

from service.engine.fake_faults import Operation
from tests.supervisor.world import World, pass_time, until

pytestmark = pytest.mark.timeout(30)

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
