"""An exit is noticed and reported once, and its container removed, whatever else happens then."""

import asyncio
from contextlib import suppress

import pytest

from service.errors import EngineRefused, EngineTimeout, EngineUnavailable
from service.jobs.model import JobSpec
from service.lifecycle.exit_hints import Hint
from tests.fake_engine.faults import Operation
from tests.supervisor.world import (
    NOTICE,
    TRIES,
    World,
    a_world,
    is_live,
    pass_time,
    refuse_removal,
    until,
)

COMPARE = 30.0


@pytest.mark.parametrize(
    ("name", "code", "oom_killed", "outcome"),
    [
        ("timer", 0, False, "ended"),
        ("webhook", 0, False, "success"),
        ("mail", 0, False, "success"),
        ("timer", 1, False, "error"),
        ("webhook", 1, False, "error"),
        ("timer", 137, True, "oom"),
        ("timer", 137, False, "error"),
    ],
)
async def test_an_exit_is_noticed_and_the_container_removed(
    world: World, name: str, code: int, *, oom_killed: bool, outcome: str
) -> None:
    await world.launch("a-1", name)
    [container] = world.host.live
    world.host.exit(container.id, code, oom_killed=oom_killed)
    await until(lambda: world.states() == {})
    assert [] == world.left()
    assert {outcome: 1} == world.outcomes("supervisor_exits_total")
    [entry] = world.logged("job.exited")
    assert (outcome, code) == (entry["outcome"], entry["exit_code"])
    await world.launch("a-1", name)
    assert 1 == len(world.running())


@pytest.mark.parametrize(
    ("name", "code", "outcome"),
    [
        ("timer", 0, "lost"),
        ("timer", 1, "lost"),
        ("timer", 137, "lost"),
        ("timer", 143, "lost"),
        ("webhook", 143, "lost"),
        ("webhook", 0, "success"),
        ("mail", 0, "success"),
    ],
)
async def test_an_engine_that_is_leaving_has_lost_what_ends(
    world: World, name: str, code: int, outcome: str
) -> None:
    await world.launch("a-1", name)
    world.engine.departing = True
    [container] = world.host.live
    world.host.exit(container.id, code)
    await until(lambda: world.states() == {})
    assert {outcome: 1} == world.outcomes("supervisor_exits_total")


async def test_a_fault_of_our_own_is_seen_while_the_engine_is_leaving(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: object) -> None:
        raise RuntimeError("a fault")

    await world.launch("a-1")
    world.engine.departing = True
    await until(lambda: not world.readiness.ready)
    monkeypatch.setattr(world.watcher.events, "handle", crash)
    world.host.exit(world.container("a-1").id, 1)
    watching, world._watching = world._watching, None
    assert watching is not None
    with pytest.raises(RuntimeError, match="a fault"):
        await asyncio.wait_for(watching, 10)


async def test_what_a_third_party_removes_while_the_engine_is_leaving_is_lost(world: World) -> None:
    await world.launch("a-1")
    world.engine.departing = True
    await world.host.remove(world.container("a-1").id, force=True)
    await until(lambda: world.states() == {})
    assert {"lost": 1} == world.outcomes("supervisor_exits_total")


async def test_what_has_ended_is_not_listed_though_its_name_is_taken(world: World) -> None:
    await world.launch("a-1")
    await world.launch("a-2")
    hold = world.faults.hold("inspect")
    world.host.exit(world.container("a-1").id, 1)
    await hold.reached()
    assert {"a-2": "running"} == world.listed()
    assert 1 == world.metric("supervisor_jobs", state="exited")
    assert 0 == world.metric("supervisor_jobs", state="stopping")
    assert 1 == world.metric("supervisor_jobs_running")
    hold.release()
    await until(lambda: world.states() == {"a-2": "running"})


async def test_what_is_killed_is_stopping_until_its_name_is_free(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("remove")
    kill = world.killing("a-1")
    await hold.reached()
    assert {"a-1": "stopping"} == world.listed()
    hold.release()
    await kill
    assert {} == world.listed()


async def test_a_failed_jobs_last_words_are_logged_without_secrets(world: World) -> None:
    auth = {"token": "s3cret-token"}
    spec = JobSpec("timer", "a-1", {"say": "goodbye"}, auth)
    await world.supervisor.launch(spec)
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: world.states() == {})
    [entry] = world.logged("job.exited")
    assert "goodbye" == entry["output"][-1]
    assert "s3cret" not in str(world.logs)


async def test_in_development_an_exited_container_is_kept(development: World) -> None:
    await development.launch("a-1")
    development.host.exit(development.container("a-1-1").id, 1)
    await until(lambda: development.states() == {})
    await pass_time(COMPARE + NOTICE)
    assert ["a-1-1"] == development.left()
    assert {"error": 1} == development.outcomes("supervisor_exits_total")


async def test_an_exit_that_was_seen_is_not_lost_because_a_comparison_finds_it_too(
    world: World,
) -> None:
    await world.launch("a-1")
    (job,) = world.supervisor.list_jobs()
    hold = world.faults.hold("tail")
    world.host.exit(world.container("a-1").id, 1)
    await hold.reached()
    comparison = asyncio.create_task(world.reaper.reap(job.launch_id, Hint()))
    await asyncio.sleep(0)
    hold.release()
    await comparison
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_an_exit_before_the_launch_returns_is_noticed(world: World) -> None:
    await world.launch("a-1", exit=4)
    await until(lambda: world.states() == {})
    assert [] == world.left()
    assert {"error": 1} == world.outcomes("supervisor_exits_total")
    assert {"launches": 1, "exits": 1} == world.counted()


async def test_an_exit_while_the_answer_to_start_is_on_its_way_is_noticed(world: World) -> None:
    hold = world.faults.hold("start", after=True)
    launch = world.launching("a-1")
    await hold.reached()
    world.host.exit(world.container("a-1").id, 2)
    await pass_time()
    assert {"a-1": "starting"} == world.states()
    hold.release()
    assert 0 == await launch.answer()
    await until(lambda: world.states() == {})
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_a_launch_does_not_take_what_has_ended_during_its_start_for_running(
    world: World,
) -> None:
    start, look = world.faults.hold("start", after=True), world.faults.hold("inspect", after=True)
    first = world.launching("a-1")
    await start.reached()
    world.host.exit(world.container("a-1").id, 0)
    await pass_time(0.1)
    start.release()
    await first
    await look.reached()
    again = world.launching("a-1")
    await pass_time(0.1)
    assert ({"a-1": "starting"}, False) == (world.states(), again.done)
    look.release()
    assert 0 == await again.answer()
    assert ["a-1"] == world.running()
    assert {"launches": 2, "exits": 1} == world.counted()


async def test_a_removal_while_the_answer_to_start_is_on_its_way_is_noticed(world: World) -> None:
    hold = world.faults.hold("start", after=True)
    launch = world.launching("a-1")
    await hold.reached()
    await world.host.remove(world.container("a-1").id, force=True)
    await pass_time()
    hold.release()
    assert 0 == await launch.answer()
    await until(lambda: world.states() == {})


async def test_a_container_that_is_removed_by_force_is_noticed(world: World) -> None:
    await world.launch("a-1")
    await world.host.remove(world.container("a-1").id, force=True)
    await until(lambda: world.states() == {})
    assert 1 == world.metric("supervisor_exits_total")
    await world.launch("a-1")
    assert ["a-1"] == world.running()


async def test_a_removal_by_force_keeps_the_exit_code_that_was_told(world: World) -> None:
    await world.launch("a-1")
    await world.host.remove(world.container("a-1").id, force=True)
    await until(lambda: world.states() == {})
    assert {"error": 1} == world.outcomes("supervisor_exits_total")
    assert [137] == [entry["exit_code"] for entry in world.logged("job.exited")]


async def test_the_old_containers_end_does_not_end_the_newer_job(development: World) -> None:
    world = development
    await world.launch("a-1")
    await world.kill("a-1")
    await world.launch("a-1")
    old = world.container("a-1-1")
    assert not is_live(old)
    await world.host.remove(old.id)
    await pass_time()
    assert {"a-1": "running"} == world.states()
    assert ["a-1-2"] == world.running()


async def test_the_end_of_a_half_made_container_does_not_end_its_second_try(world: World) -> None:
    hold = world.faults.hold("start")
    launch = world.launching("a-1")
    await hold.reached()
    hold.refuse(EngineUnavailable("the connection broke"))  # the event stream goes on
    assert 0 == await launch.answer()
    await pass_time()
    assert {"a-1": "running"} == world.states()
    assert ["a-1"] == world.running()
    assert {"launches": 1} == world.counted()


async def test_a_pause_is_told_and_so_is_its_end(world: World) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    world.host.pause(container.id)
    await until(lambda: world.states() == {"a-1": "paused"}, within=NOTICE)
    assert 1 == world.metric("supervisor_jobs", state="paused")
    assert 1 == world.metric("supervisor_jobs_running")
    assert ["a-1"] == [told["identifier"] for told in world.logged("job.paused")]
    await world.launch("a-1")  # a dedup
    world.host.pause(container.id, paused=False)
    await until(lambda: world.states() == {"a-1": "running"}, within=NOTICE)
    assert 1 == len(world.logged("job.unpaused"))
    assert [container] == world.host.live


async def test_a_pause_that_nobody_heard_of_is_found_by_the_comparison(world: World) -> None:
    await world.launch("a-1")
    world.host.listeners.clear()
    world.host.pause(world.container("a-1").id)
    await until(lambda: world.states() == {"a-1": "paused"}, within=2 * COMPARE)
    await world.kill("a-1")
    assert ({}, []) == (world.states(), world.left())


async def test_an_exit_that_the_engine_makes_trouble_about_is_noticed_later(world: World) -> None:
    await world.launch("a-1")
    world.faults.fail("inspect", EngineTimeout("too long"), times=3)
    world.host.exit(world.container("a-1").id, 1)
    await pass_time(COMPARE + NOTICE)
    assert ({}, []) == (world.states(), world.left())


@pytest.mark.parametrize("operation", ["inspect", "remove"])
async def test_a_connection_that_breaks_once_delays_no_exit(
    world: World, operation: Operation
) -> None:
    await world.launch("a-1")
    world.faults.fail(operation, EngineUnavailable("connection reset"))
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: world.states() == {})
    assert [] == world.left()
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_a_removal_that_is_refused_frees_the_identifier_all_the_same(world: World) -> None:
    await world.launch("a-1")
    world.faults.fail("remove", EngineRefused("device busy"))
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: world.states() == {}, within=3)
    assert [] == world.left()
    assert {"error": 1} == world.outcomes("supervisor_exits_total")
    await world.launch("a-1")
    assert ["a-1"] == world.running() == world.left()


async def test_an_end_that_nobody_saw_is_not_seen_by_looking_again(world: World) -> None:
    await world.launch("a-1")
    (job,) = world.supervisor.list_jobs()
    world.host.listeners.clear()
    world.host.exit(world.container("a-1").id, 1)
    refuse_removal(world)
    with pytest.raises(EngineRefused):
        await world.reaper.reap(job.launch_id, Hint())
    await until(lambda: world.states() == {}, within=10)
    assert {"lost": 1} == world.outcomes("supervisor_exits_total")


async def test_a_removal_that_is_refused_for_long_is_tried_more_and_more_seldom(
    world: World,
) -> None:
    """Where it cannot be set aside either."""
    await world.launch("a-1")
    for _ in range(1000):
        refuse_removal(world)
    world.host.exit(world.container("a-1").id, 1)
    tries = []
    for _ in range(10):
        before = world.engine.calls["remove"]
        await pass_time(60)
        with suppress(EngineRefused):
            await world.kill("a-1")  # which does not help, and does not make it worse
        tries.append(world.engine.calls["remove"] - before)
    assert max(tries[2:]) <= 8 * TRIES
    world.faults.clear()
    await until(lambda: world.states() == {}, within=31)


async def test_in_development_comparing_looks_at_no_kept_container() -> None:
    async with a_world(keep=True) as world:
        for number in range(20):
            await world.launch(f"a-{number}")
            world.host.exit(world.host.containers[-1].id, 0)
        await until(lambda: world.states() == {})
        before = world.engine.calls["inspect"]
        await pass_time(100)
        assert before == world.engine.calls["inspect"]
        assert 20 == len(world.left())


@pytest.mark.parametrize("operation", ["inspect", "tail", "remove"])
async def test_an_exit_that_the_engine_is_too_slow_about_is_looked_into_again(
    world: World, operation: Operation
) -> None:
    await world.launch("a-1")
    world.faults.fail(operation, EngineTimeout("slow"))
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: world.states() == {}, within=3)
    assert {"error": 1} == world.outcomes("supervisor_exits_total")
