"""A look takes its time, and what happens meanwhile outdates its answer."""

import pytest

from service.errors import EngineError, EngineRefused, EngineTimeout, EngineUnavailable
from service.lifecycle.exit_hints import Hint
from tests.supervisor.world import World, pass_time, refuse_removal, until

MOMENT = 0.05


async def test_an_exit_outdates_a_look_at_the_life_before(world: World) -> None:
    """A launch must not take the dead for running."""
    await world.launch("a-1")
    container = world.container("a-1")
    before, after = world.faults.hold("inspect"), world.faults.hold("inspect", after=True)
    world.host.exit(container.id, 1)
    await before.reached()
    world.host.start(container.id)
    before.release()
    await after.reached()  # it has been found live
    world.host.exit(container.id, 1)
    await pass_time(MOMENT)
    launch = world.launching("a-1")
    await pass_time(MOMENT)
    after.release()
    await launch
    assert {"a-1": "running"} == world.states()
    assert world.container("a-1") is not container
    assert {"launches": 2, "exits": 1} == world.counted()


async def test_an_exit_outdates_a_look_at_what_cannot_be_removed(world: World) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    removal = world.faults.hold("remove")
    world.host.exit(container.id, 1)
    await removal.reached()
    world.host.start(container.id)
    await pass_time(MOMENT)
    look = world.faults.hold("inspect", after=True)
    removal.release()
    await look.reached()
    world.host.exit(container.id, 1)
    await pass_time(MOMENT)
    launch = world.launching("a-1")
    await pass_time(MOMENT)
    look.release()
    await launch
    assert {"a-1": "running"} == world.states()
    assert world.container("a-1") is not container
    assert {"launches": 2, "exits": 1} == world.counted()


async def test_an_exit_before_a_container_is_known_as_a_job_is_noticed(development: World) -> None:
    world = development
    await world.launch("a-1")
    container = world.container("a-1-1")
    world.host.exit(container.id, 1)
    await until(lambda: world.states() == {})
    look = world.faults.hold("inspect", after=True)
    world.host.start(container.id)  # by hand
    await look.reached()
    world.host.exit(container.id, 1)
    await pass_time(MOMENT)
    look.release()
    await until(lambda: 2 == len(world.logged("job.exited")))
    assert {} == world.states()


@pytest.mark.parametrize("when", ["during the look", "just before its answer"])
async def test_an_exit_that_is_told_during_a_look_at_what_is_gone_counts(
    world: World, when: str
) -> None:
    """As by `docker rm -f` while a pause is looked at."""
    await world.launch("a-1")
    container = world.container("a-1")
    look = world.faults.hold("inspect")
    world.host.pause(container.id)
    await look.reached()
    if when == "just before its answer":
        world.engine.latency = lambda: 0.02
    await world.host.remove(container.id, force=True)
    if when == "during the look":
        await pass_time(MOMENT)
    look.release()
    await until(lambda: world.states() == {})
    (told,) = world.logged("job.exited")
    assert ("error", 137, "others") == (told["outcome"], told["exit_code"], told["by"])


@pytest.mark.parametrize("error", [EngineRefused("no"), EngineTimeout("late")], ids=repr)
async def test_nothing_is_kept_of_a_job_that_is_gone(world: World, error: EngineError) -> None:
    await world.launch("a-1")
    refuse_removal(world)
    world.host.exit(world.container("a-1").id, 1)
    await pass_time(1.2)
    removal = world.faults.hold("remove", after=True)
    await removal.reached()
    await pass_time(MOMENT)  # the removal has been told, which is a hint
    world.faults.fail("inspect", error, times=3)
    removal.release()
    await until(lambda: world.states() == {})
    await pass_time(60)
    assert {} == world.reaper._hints._hints
    assert (set(), {}) == (world.reaper._later._launch_ids, world.reaper._reaps._tasks)


async def test_what_was_said_while_a_retry_met_no_engine_is_forgotten(world: World) -> None:
    await world.launch("a-1")
    (job,) = world.supervisor.list_jobs()
    container = world.container("a-1")
    refuse_removal(world)
    world.host.exit(container.id, 137)
    await pass_time(1.6)
    look = world.faults.hold("inspect")
    await look.reached()
    world.host.tell_out_of_memory(container.id)
    await pass_time(MOMENT)
    world.faults.fail("inspect", EngineUnavailable("away"), times=99)
    look.refuse(EngineUnavailable("away"))
    await pass_time(4)
    assert {"a-1": "exited"} == world.states()
    world.faults.clear()
    await world.reaper.reap(job.launch_id, Hint())
    assert {"lost": 1} == world.outcomes("supervisor_exits_total")
