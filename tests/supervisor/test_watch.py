"""The registry follows the Engine: exits, third parties, gaps, the start and readiness."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from service.engine.base import Inspection, Status
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
IDLE = 10.0


def now() -> float:
    return asyncio.get_running_loop().time()


# Exits


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


# Third parties


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


# Gaps


async def test_what_exits_while_disconnected_is_lost_and_can_be_launched_again(
    world: World,
) -> None:
    await world.launch("a-1")
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    world.host.exit(world.container("a-1").id, 0)
    assert {"a-1": "running"} == world.states()  # the last known state
    world.engine.come_back()
    await world.ready()
    assert ({}, []) == (world.states(), world.left())
    assert {"lost": 1} == world.outcomes("supervisor_exits_total")
    await world.launch("a-1")
    assert ["a-1"] == world.running()


async def test_what_vanishes_while_disconnected_is_lost(world: World) -> None:
    await world.launch("a-1")
    await world.launch("a-2")
    world.engine.go_away()
    await world.host.remove(world.container("a-1").id, force=True)
    world.engine.come_back()
    await until(lambda: world.states() == {"a-2": "running"})
    assert {"lost": 1} == world.outcomes("supervisor_exits_total")
    assert 1 == len(world.logged("job.exited"))


async def test_what_is_started_again_while_disconnected_runs_on(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("remove")
    world.host.exit(world.container("a-1").id, 0)
    await hold.reached()
    world.engine.go_away()
    world.host.start(world.container("a-1").id)
    world.engine.come_back()
    await until(lambda: world.states() == {"a-1": "running"})
    assert ["a-1"] == world.running()


async def test_an_exit_in_a_gap_that_the_listing_does_not_show_yet_is_noticed(world: World) -> None:
    await world.launch("a-1", "webhook")
    await world.launch("a-2")
    world.engine.disconnect()
    exited = world.container("a-1")
    exited.unsettled = True
    world.host.exit(exited.id, 0)
    await until(lambda: world.states() == {"a-2": "running"})
    assert {"success": 1} == world.outcomes("supervisor_exits_total")
    assert ["a-2"] == world.left()


async def test_a_gap_while_a_launch_is_under_way_ends_without_it(world: World) -> None:
    hold = world.faults.hold("start")
    launch = world.launching("a-1")
    await hold.reached()
    world.engine.disconnect()
    await until(lambda: not world.readiness.ready)
    await world.ready()
    hold.release()
    assert 0 == await launch.answer()


async def test_a_stream_that_ends_is_taken_up_again(world: World) -> None:
    await world.launch("a-1")
    world.engine.disconnect()
    world.host.exit(world.container("a-1").id, 0)
    await until(lambda: world.states() == {} and world.readiness.ready)
    assert 1 == world.metric("supervisor_event_stream_reconnects_total")


async def test_a_stream_that_is_cut_off_for_being_idle_costs_no_readiness(world: World) -> None:
    await world.launch("a-1")
    await world.launch("a-2")
    heard: list[bool] = []
    world.readiness.subscribe(heard.append)
    for count in (1, 2):
        await pass_time(IDLE)
        world.engine.disconnect()
        if count == 1:  # what nobody hears of, though the Engine was there
            world.host.exit(world.container("a-1").id, 3)
        await until(
            lambda n=count: n == world.metric("supervisor_event_stream_reconnects_total")  # type: ignore[misc]
        )
    await until(lambda: world.states() == {"a-2": "running"})
    assert [] == heard
    assert [] == world.logged("engine.away")
    assert 1 == len(world.logged("engine.in_step"))
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_a_stream_that_ends_again_and_again_at_once_is_an_engine_in_trouble(
    world: World,
) -> None:
    await pass_time(IDLE)
    world.engine.disconnect()
    await until(lambda: 1 == world.metric("supervisor_event_stream_reconnects_total"))
    world.engine.disconnect()
    await until(lambda: not world.readiness.ready)
    await world.ready()


async def test_a_stream_that_ends_with_its_engine_is_a_fall(world: World) -> None:
    await pass_time(IDLE)
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    assert 1 == len(world.logged("engine.away"))


async def test_an_engine_that_hangs_is_noticed_within_five_seconds(world: World) -> None:
    await world.launch("a-1")
    assert 1 == world.metric("supervisor_engine_up")
    world.engine.hang()
    await until(lambda: not world.readiness.ready, within=5)
    assert 0 == world.metric("supervisor_engine_up")
    world.host.exit(world.container("a-1").id, 0)
    world.engine.wake()
    await until(lambda: world.states() == {} and world.readiness.ready, within=15)
    assert 1 == world.metric("supervisor_engine_up")


async def test_an_engine_that_answers_and_cannot_start_anything_is_noticed(world: World) -> None:
    """As it is when its containerd hangs."""
    hold = world.faults.hold("deep ping")
    await hold.reached()
    await until(lambda: not world.readiness.ready, within=3)
    assert 0 == world.metric("supervisor_engine_up")
    hold.release()
    await world.ready()


async def test_an_event_that_got_lost_is_made_good_by_the_comparison(world: World) -> None:
    await world.launch("a-1")
    listeners = list(world.host.listeners)
    world.host.listeners.clear()
    world.host.exit(world.container("a-1").id, 0)
    world.host.listeners.extend(listeners)
    await until(lambda: world.states() == {}, within=COMPARE + NOTICE)
    assert [] == world.left()
    await pass_time()
    assert 1 == world.metric("supervisor_event_stream_reconnects_total")  # it may be dead
    assert world.readiness.ready


async def test_a_stream_that_has_gone_quiet_is_replaced_at_once(world: World) -> None:
    await world.launch("a-1")
    listeners = list(world.host.listeners)
    world.host.listeners.clear()
    world.host.exit(world.container("a-1").id, 0)
    world.host.listeners.extend(listeners)
    await until(lambda: not world.readiness.ready, within=COMPARE + NOTICE)
    await until(lambda: world.readiness.ready, within=0.9)  # no ping later


async def test_an_event_that_is_late_among_others_is_no_reason_to_connect_again(
    world: World,
) -> None:
    await world.launch("a-1")
    comparison = world.faults.hold("list")
    await comparison.reached()
    listeners = list(world.host.listeners)
    world.host.listeners.clear()
    world.host.exit(world.container("a-1").id, 0)
    world.host.listeners.extend(listeners)
    comparison.release()
    await world.launch("a-2")
    await pass_time(2 * COMPARE)
    assert {"a-2": "running"} == world.states()
    assert 0 == world.metric("supervisor_event_stream_reconnects_total")


async def test_what_ends_while_a_listing_is_on_its_way_is_no_orphan(world: World) -> None:
    await world.launch("a-1")
    removal, comparison = world.faults.hold("remove"), world.faults.hold("list", after=True)
    await pass_time(COMPARE - 1)
    world.host.exit(world.container("a-1").id, 0)
    await comparison.reached()  # it lists one that has exited
    removal.release()
    await until(lambda: world.states() == {})
    comparison.release()
    await pass_time()
    assert [] == world.logged("orphan.found")
    assert 0 == world.metric("supervisor_orphans")


async def test_a_listing_tells_nothing_of_what_was_launched_after_it(world: World) -> None:
    hold = world.faults.hold("list", after=True)
    await hold.reached()
    await world.launch("a-1")
    world.host.listeners.clear()
    world.host.exit(world.container("a-1").id, 0)
    hold.release()
    await pass_time()
    assert 0 == world.metric("supervisor_event_stream_reconnects_total")
    assert world.readiness.ready


async def test_comparing_alone_is_no_reason_to_connect_again(world: World) -> None:
    for number in range(20):
        await world.launch(f"a-{number}")
        await pass_time(5)
    world.host.exit(world.container("a-1").id, 0)
    await world.kill("a-2")
    await pass_time(2 * COMPARE)
    assert 0 == world.metric("supervisor_event_stream_reconnects_total")


async def test_one_container_that_makes_trouble_does_not_stop_the_comparison(world: World) -> None:
    for n in range(3):
        await world.launch(f"a-{n}")
    world.engine.go_away()
    for n in range(3):
        world.host.exit(world.container(f"a-{n}").id, 0)
    world.faults.fail("remove", EngineTimeout("too long"))
    world.faults.fail("set aside", EngineTimeout("too long"))
    world.engine.come_back()
    await until(lambda: len(world.states()) == 1 and world.readiness.ready)
    await until(lambda: world.states() == {}, within=COMPARE + NOTICE)


# The start


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
