"""What the Engine cannot remove keeps neither its name nor its identifier."""

import pytest

from service.engine.docker.names import is_aside
from service.engine.workloads import Status
from service.errors import EngineFailed, EngineTimeout
from service.jobs.labels import labels_of
from service.jobs.model import Job, Kind
from tests.fake_engine.host import Container
from tests.supervisor.world import INSTANCE, TRIES, World, a_world, pass_time, until

_COMPARED = 34.0
# Within which a client, who waits for the name, is answered.
_SOON = 3.0
_FOREVER = 1000


def _refuse(world: World) -> None:
    world.faults.fail("remove", EngineFailed("operation not permitted"), times=_FOREVER)


def _aside(world: World) -> list[Container]:
    return [c for c in world.host.containers if is_aside(c.spec.name, c.id)]


def _left_by_an_earlier_run(world: World, name: str, launch_id: str = "0" * 16) -> Container:
    job = Job(launch_id=launch_id, name="timer", identifier=name, kind=Kind.ACTION)
    container = world.put(name, dict(labels_of(job, INSTANCE)))
    world.host.exit(container.id, 3)
    return container


async def test_an_exit_of_what_cannot_be_removed_is_told_as_it_was_and_frees_the_identifier(
    world: World,
) -> None:
    await world.launch("a-1", say="my last words")
    container = world.container("a-1")
    _refuse(world)
    world.host.exit(container.id, 3)
    await until(lambda: world.states() == {}, within=_SOON)
    (told,) = world.logged("job.exited")
    assert ("error", 3) == (told["outcome"], told["exit_code"])
    assert "my last words" in told["output"]
    (event,) = world.logged("container.set_aside")
    assert ("timer", "a-1") == (event["job"], event["identifier"])
    assert f"a-1.removing-{container.id[:12]}" == event["container_name"] == container.spec.name
    assert ("warning", "operation not permitted") == (event["log_level"], event["error"])
    await world.launch("a-1")
    assert ["a-1"] == world.running()


async def test_a_kill_of_what_cannot_be_removed_succeeds(world: World) -> None:
    for identifier in ("a-1", "a-2"):
        await world.launch(identifier)
    _refuse(world)
    killing = world.killing("a-1")
    await pass_time(_SOON)
    assert killing.done
    assert 0 == await killing.answer()
    assert 0 == await world.killing_all().answer()
    assert {} == world.states()
    assert {"killed": 2} == world.outcomes("supervisor_exits_total")
    assert 2 == len(_aside(world)) == len(world.left())
    await world.launch("a-1")


async def test_a_launch_that_waits_for_the_end_of_what_cannot_be_removed_runs(
    world: World,
) -> None:
    await world.launch("a-1")
    _refuse(world)
    world.host.exit(world.container("a-1").id, 1)
    launch = world.launching("a-1")
    await pass_time(_SOON)
    assert launch.done
    assert 0 == await launch.answer()
    assert ["a-1"] == world.running()


async def test_a_removal_that_hangs_is_given_up_and_set_aside(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("remove")
    killing = world.killing("a-1")
    await hold.reached()
    await pass_time(13)
    assert killing.done
    assert 0 == await killing.answer()
    assert 1 == len(_aside(world))
    hold.release()  # and so it is removed after all
    await until(lambda: not world.host.containers)


async def test_a_hiccup_sets_nothing_aside(world: World) -> None:
    await world.launch("a-1")
    world.faults.fail("remove", EngineFailed("device busy"), times=TRIES - 1)
    await world.kill("a-1")
    assert [] == world.left()
    assert [] == world.logged("container.set_aside")


async def test_a_launch_clears_a_name_whose_container_cannot_be_removed(world: World) -> None:
    _left_by_an_earlier_run(world, "a-1")
    _refuse(world)
    await world.launch("a-1")
    assert ["a-1"] == world.running()
    assert 1 == len(_aside(world))


async def test_what_the_start_cannot_remove_is_set_aside(unstarted: World) -> None:
    container = _left_by_an_earlier_run(unstarted, "a-1")
    _refuse(unstarted)
    unstarted.watch()
    await unstarted.ready()
    assert [container] == _aside(unstarted)
    assert 0 == unstarted.metric("supervisor_orphans_removed_total")
    await unstarted.launch("a-1")
    assert ["a-1"] == unstarted.running()


async def test_a_later_start_tries_once_more_and_tells_no_end_again() -> None:
    for adopt in (True, False):
        async with a_world(started=False, adopt=adopt) as world:
            container = _left_by_an_earlier_run(world, "a-1")
            world.host.set_aside(container.id)
            _refuse(world)
            world.watch()
            await world.ready()
            assert [] == world.logged("job.exited") == world.logged("container.set_aside")
            await pass_time(_COMPARED)
            assert 1 == world.metric("supervisor_orphans")
            world.faults.clear()
            await until(lambda: not world.left(), within=4 * _COMPARED)


async def test_the_end_of_what_is_set_aside_is_not_told_again_by_an_older_listing(
    world: World,
) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    listing = world.faults.hold("list", after=True)
    await listing.reached()  # which says that it runs
    _refuse(world)
    world.host.exit(container.id, 3)
    await until(lambda: world.states() == {}, within=_SOON)
    listing.release()
    await pass_time(_SOON)
    assert 1 == len(world.logged("job.exited"))
    assert {"launches": 1, "exits": 1} == world.counted()


async def test_what_a_try_of_a_running_job_has_left_aside_is_removed(world: World) -> None:
    """It has the launch id of the job."""
    world.faults.fail("create", EngineFailed("500"), after=True)
    world.faults.fail("remove", EngineTimeout("late"))
    await world.launch("a-1")
    assert 1 == len(_aside(world))
    await pass_time(2 * _COMPARED + _SOON)
    assert ["a-1"] == world.left()
    assert {"a-1": "running"} == world.states()


async def test_what_a_try_has_left_aside_is_stopped_if_somebody_starts_it(world: World) -> None:
    world.faults.fail("create", EngineFailed("500"), after=True)
    world.faults.fail("remove", EngineTimeout("late"))
    await world.launch("a-1")
    (aside,) = _aside(world)
    world.host.start(aside.id)
    await pass_time(_COMPARED + _SOON)
    assert (["a-1"], {"a-1": "running"}) == (world.left(), world.states())
    (surplus,) = world.logged("job.surplus")
    assert aside.id == surplus["container_id"]


@pytest.mark.parametrize("keep", [False, True])
async def test_what_stands_aside_is_an_orphan_and_is_tried_more_and_more_seldom(
    keep: bool,
) -> None:
    async with a_world(keep=keep) as world:
        container = _left_by_an_earlier_run(world, "a-1")
        world.host.set_aside(container.id)
        container.status = Status.EXITED
        _refuse(world)
        tries = []
        for _ in range(4):
            before = world.engine.calls["remove"]
            await pass_time(1800)
            tries.append(world.engine.calls["remove"] - before)
            assert 1 == world.metric("supervisor_orphans")
        assert 3 <= tries[0] <= 12
        assert tries[-1] <= 1
        assert 1 == len(world.logged("orphan.found"))
        world.faults.clear()
        await until(lambda: not world.left(), within=3700)
        await pass_time(_COMPARED)
        assert 0 == world.metric("supervisor_orphans")
        assert 1 == world.metric("supervisor_orphans_removed_total")


async def test_a_live_container_is_never_set_aside(world: World) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    removal = world.faults.hold("remove")
    world.host.exit(container.id, 1)
    await removal.reached()
    world.host.start(container.id)  # a third party's
    removal.release()
    await until(lambda: world.states() == {"a-1": "running"})
    assert "a-1" == container.spec.name


async def test_development_sets_aside_what_a_start_cannot_remove() -> None:
    async with a_world(keep=True, started=False) as world:
        container = _left_by_an_earlier_run(world, "a-1-1")
        _refuse(world)
        world.watch()
        await world.ready()
        assert [container] == _aside(world)
        await world.launch("a-1")
        assert ["a-1-1"] == world.running()
        world.host.exit(world.container("a-1-1").id, 1)
        await until(lambda: world.states() == {})
        assert world.exists("a-1-1")  # development keeps it


async def test_what_hangs_and_cannot_be_renamed_is_a_504(world: World) -> None:
    await world.launch("a-1")
    world.faults.fail("remove", EngineTimeout("late"), times=_FOREVER)
    world.faults.fail("set aside", EngineTimeout("late as well"), times=_FOREVER)
    assert 504 == await world.killing("a-1").answer()
    assert ["a-1"] == world.left()
