"""Kills: what they meet, what meets them, and what happens when they fail."""

import asyncio

import pytest

from service.errors import EngineRefused, EngineTimeout, EngineUnavailable, KillAllFailed
from tests.fake_engine.faults import Hold
from tests.supervisor.world import GRACE, Asked, World, pass_time, refuse_removal, until


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_kill_is_answered_when_the_name_is_free(world: World) -> None:
    await world.launch("a-1")
    await world.kill("a-1")
    assert ([], {}) == (world.left(), world.states())
    assert {"stopped": 1} == world.outcomes("supervisor_kills_total")
    assert {"killed": 1} == world.outcomes("supervisor_exits_total")


async def test_a_kill_of_what_does_not_run_is_a_success(world: World) -> None:
    await world.kill("a-1")
    assert {"not_running": 1} == world.outcomes("supervisor_kills_total")
    assert 0 == world.engine.calls["stop"]


@pytest.mark.parametrize("identifier", ["", " ", "\t", "a\n", "\0", "\x85", "x" * 600])
async def test_a_kill_of_what_cannot_run_is_a_success(world: World, identifier: str) -> None:
    await world.kill(identifier)
    assert {"not_running": 1} == world.outcomes("supervisor_kills_total")


async def test_a_kill_forces_what_ignores_sigterm(world: World) -> None:
    await world.launch("a-1", stubborn=1)
    began = now()
    await world.kill("a-1")
    assert pytest.approx(now() - began, abs=0.5) == GRACE
    assert {"forced": 1} == world.outcomes("supervisor_kills_total")
    assert [] == world.left()


async def test_a_kill_whose_container_cannot_be_removed_fails_and_is_made_good(
    world: World,
) -> None:
    """Nor renamed, which would free its name as well."""
    await world.launch("a-1")
    refuse_removal(world)
    with pytest.raises(EngineRefused, match="device busy; nor can it be set aside: not permitted"):
        await world.kill("a-1")
    assert ["a-1"] == world.left()  # its name is not free, and nobody was told that it is
    await until(lambda: world.states() == {}, within=3)
    assert [] == world.left()


async def test_a_kill_of_a_reaction_stops_all_of_its_containers(world: World) -> None:
    for _ in range(4):
        await world.launch("r-1", "mail")
    await world.launch("r-2", "mail")
    await world.kill("r-1")
    assert {"r-2": "running"} == world.states()
    assert 1 == len(world.left())


async def test_in_development_a_killed_container_is_kept(development: World) -> None:
    await development.launch("a-1")
    await development.kill("a-1")
    assert ([], ["a-1-1"]) == (development.running(), development.left())
    assert {} == development.states()


async def test_fifty_kills_at_once_are_one(world: World) -> None:
    await world.launch("a-1")
    answers = await asyncio.gather(*(world.killing("a-1").answer() for _ in range(50)))
    assert [0] * 50 == answers
    assert 1 == world.engine.calls["stop"]
    assert {"stopped": 1} == world.outcomes("supervisor_kills_total")


# What a kill meets


@pytest.mark.parametrize("operation", ["create", "start"])
async def test_a_kill_during_starting_waits_and_then_stops(world: World, operation: str) -> None:
    hold = world.faults.hold("create" if operation == "create" else "start")
    launch = world.launching("a-1")
    await hold.reached()
    kill = world.killing("a-1")
    await pass_time()
    assert not kill.done
    assert {"a-1": "stopping"} == world.states()
    hold.release()
    assert (0, 0) == (await launch.answer(), await kill.answer())
    assert ([], {}) == (world.left(), world.states())
    assert {"launches": 1, "kills": 1, "exits": 1} == world.counted()


async def test_a_kill_of_a_launch_that_waits_for_the_engine_stops_it(world: World) -> None:
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    launch = world.launching("a-1")
    await pass_time(1)
    kill = world.killing("a-1")
    await pass_time(1)
    world.engine.come_back()
    assert (0, 0) == (await launch.answer(), await kill.answer())
    assert ([], {}) == (world.running(), world.states())


async def test_a_kill_of_a_launch_that_fails_is_a_success(world: World) -> None:
    world.faults.fail("start", EngineRefused("no"))
    hold = world.faults.hold("create")
    launch = world.launching("a-1")
    await hold.reached()
    kill = world.killing("a-1")
    await pass_time()
    hold.release()
    assert (502, 0) == (await launch.answer(), await kill.answer())
    assert {"not_running": 1} == world.outcomes("supervisor_kills_total")
    assert {} == world.states()


async def test_a_kill_of_what_exits_by_itself_is_a_success(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("stop")
    kill = world.killing("a-1")
    await hold.reached()
    world.host.exit(world.container("a-1").id, 0)
    hold.release()
    assert 0 == await kill.answer()
    assert [] == world.left()


async def test_a_kill_of_what_has_just_exited_does_not_take_the_credit(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("remove")
    world.host.exit(world.container("a-1").id, 3)
    await hold.reached()
    kill = world.killing("a-1")
    await pass_time()
    hold.release()
    assert 0 == await kill.answer()
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_a_kill_of_what_a_third_party_removes_is_a_success(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("stop")
    kill = world.killing("a-1")
    await hold.reached()
    await world.host.remove(world.container("a-1").id, force=True)
    began = now()
    hold.release()
    assert 0 == await kill.answer()
    assert now() - began < 0.5  # nothing more is told of it
    assert {} == world.states()


# What meets a kill


async def test_a_launch_during_stopping_waits_and_then_launches(world: World) -> None:
    await world.launch("a-1")
    old = world.container("a-1")
    hold = world.faults.hold("stop")
    kill = world.killing("a-1")
    await hold.reached()
    launches = [world.launching("a-1") for _ in range(5)]
    await pass_time()
    assert not any(launch.done for launch in launches)
    hold.release()
    assert [0] * 6 == [await asked.answer() for asked in (kill, *launches)]
    assert old is not world.container("a-1")
    assert {"a-1": "running"} == world.states()
    assert {"launches": 2, "dedups": 4, "kills": 1, "exits": 1} == world.counted()


async def test_a_launch_after_the_exit_waits_for_the_name(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("remove")
    world.host.exit(world.container("a-1").id, 0)
    await hold.reached()
    launch = world.launching("a-1")
    await pass_time()
    assert not launch.done
    hold.release()
    assert 0 == await launch.answer()
    assert ["a-1"] == world.running()


async def test_a_launch_waits_as_long_for_several_jobs_as_for_one(world: World) -> None:
    """One after the other, each takes its whole grace (20 s) to end."""
    earlier: list[Asked] = []
    for _ in range(5):
        earlier += world.launching("a-1", "patient", stubborn=1), world.killing("a-1")
        await pass_time()
    began = now()
    last = world.launching("a-1", "patient", stubborn=1)
    await until(lambda: last.done, within=100)
    assert pytest.approx(now() - began, abs=1) == 20 + 60
    assert 504 == await last.answer()
    assert ["a-1"] == world.running()  # the last of those before it
    await until(lambda: all(each.done for each in earlier), within=30)
    assert [] == world.left()


async def test_kill_launch_kill_launch_ends_with_one_container(world: World) -> None:
    await world.launch("a-1", stubborn=1)
    asked = [
        world.killing("a-1"),
        world.launching("a-1", stubborn=1),
        world.killing("a-1"),
        world.launching("a-1", stubborn=1),
    ]
    assert [0] * 4 == [await each.answer() for each in asked]
    assert (["a-1"], {"a-1": "running"}) == (world.running(), world.states())


async def test_launch_kill_launch_kill_ends_with_none(world: World) -> None:
    asked = [
        world.launching("a-1"),
        world.killing("a-1"),
        world.launching("a-1"),
        world.killing("a-1"),
    ]
    await pass_time()
    assert [0] * 4 == [await each.answer() for each in asked]
    assert ([], {}) == (world.left(), world.states())


# Kills that fail


async def test_a_failed_kill_returns_the_job_to_running(world: World) -> None:
    await world.launch("a-1")
    world.faults.fail("stop", EngineRefused("cannot"))
    kill = world.killing("a-1")
    assert 502 == await kill.answer()
    assert {"a-1": "running"} == world.states()
    assert {"failed": 1} == world.outcomes("supervisor_kills_total")
    assert 1 == world.metric("supervisor_failures_total", operation="kill", job_name="timer")
    await world.launch("a-1")
    assert 1 == world.metric("supervisor_dedups_total")
    await world.kill("a-1")
    assert [] == world.left()


async def test_a_failed_kill_is_counted_once_however_many_share_it(world: World) -> None:
    await world.launch("a-1")
    world.faults.fail("stop", EngineRefused("cannot"))
    answers = await asyncio.gather(*(world.killing("a-1").answer() for _ in range(5)))
    assert [502] * 5 == answers
    assert 1 == world.metric("supervisor_failures_total")


async def test_a_request_kills_once_what_runs_and_what_waits_for_that(world: World) -> None:
    """The launch that waits finds the job running on, as its kill has failed."""
    await world.launch("a-1")
    stop = world.faults.hold("stop")
    first = world.killing("a-1")
    await stop.reached()
    launch = world.launching("a-1")
    await pass_time()
    second = world.killing("a-1")
    await pass_time()
    stop.refuse(EngineRefused("cannot"))
    assert (502, 502, 0) == (await first.answer(), await second.answer(), await launch.answer())
    await pass_time()
    assert ["a-1"] == world.running()
    assert {"not_running": 1, "failed": 1} == world.outcomes("supervisor_kills_total")
    assert (1, 2) == (len(world.logged("kill.joined")), len(world.logged("request.failed")))


@pytest.mark.parametrize("state", ["running", "paused"])
async def test_a_launch_that_waited_for_a_kill_that_failed_is_a_dedup(
    world: World, state: str
) -> None:
    await world.launch("a-1")
    old = world.container("a-1")
    world.host.pause(old.id, paused=state == "paused")
    await until(lambda: world.states() == {"a-1": state})
    stop = world.faults.hold("stop")
    kill = world.killing("a-1")
    await stop.reached()
    launches = [world.launching("a-1") for _ in range(3)]
    await pass_time()
    assert not any(launch.done for launch in launches)
    stop.refuse(EngineRefused("cannot"))
    assert 502 == await kill.answer()
    assert [0] * 3 == [await launch.answer() for launch in launches]
    assert old is world.container("a-1")
    assert {"a-1": state} == world.states()
    assert {"launches": 1, "dedups": 3, "kills": 1, "failures": 1} == world.counted()
    assert 1 == world.engine.calls["create"]  # the job keeps its identifier; nobody else is asked


async def test_a_kill_that_times_out_and_then_takes_effect(world: World) -> None:
    await world.launch("a-1")
    world.faults.fail("stop", EngineTimeout("too long"), after=True)
    assert 504 == await world.killing("a-1").answer()
    await until(lambda: world.states() == {})
    assert [] == world.left()
    await world.launch("a-1")
    assert ["a-1"] == world.running()


async def test_a_pause_while_a_kill_fails_is_noticed(world: World) -> None:
    """And it is no sign of an event stream that has gone quiet, which would cost the readiness."""
    await world.launch("a-1")
    hold = world.faults.hold("stop")
    kill = world.killing("a-1")
    await hold.reached()
    world.host.pause(world.container("a-1").id)
    await pass_time()
    hold.refuse(EngineRefused("cannot"))
    assert 502 == await kill.answer()
    assert {"a-1": "paused"} == world.states()
    world.host.pause(world.container("a-1").id, paused=False)
    await until(lambda: world.states() == {"a-1": "running"})


async def test_a_pause_that_is_looked_at_when_a_kill_begins_is_noticed(world: World) -> None:
    await world.launch("a-1")
    look, stop = world.faults.hold("inspect"), world.faults.hold("stop")
    world.host.pause(world.container("a-1").id)
    await look.reached()
    kill = world.killing("a-1")
    await stop.reached()
    look.release()
    await pass_time()
    assert {"a-1": "stopping"} == world.states()
    stop.refuse(EngineRefused("cannot"))
    assert 502 == await kill.answer()
    assert {"a-1": "paused"} == world.states()


async def test_a_pause_that_ends_while_a_kill_fails_outlasts_an_older_look(world: World) -> None:
    await world.launch("a-1")
    look, stop = world.faults.hold("inspect", after=True), world.faults.hold("stop")
    world.host.pause(world.container("a-1").id)
    await look.reached()  # it has seen the pause
    kill = world.killing("a-1")
    await stop.reached()
    world.host.pause(world.container("a-1").id, paused=False)
    await pass_time(0.2)  # less than a look may take, or it would be made anew
    look.release()
    await pass_time()
    stop.refuse(EngineRefused("cannot"))
    assert 502 == await kill.answer()
    assert {"a-1": "running"} == world.states()


async def test_an_exit_while_a_kill_fails_is_noticed(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("stop")
    kill = world.killing("a-1")
    await hold.reached()
    world.host.exit(world.container("a-1").id, 1)
    await pass_time()
    hold.refuse(EngineRefused("cannot"))
    assert 502 == await kill.answer()
    await until(lambda: world.states() == {})
    assert [] == world.left()


async def test_a_kill_waits_for_an_engine_that_is_back_soon(world: World) -> None:
    await world.launch("a-1")
    world.engine.go_away()
    kill = world.killing("a-1")
    await pass_time(3)
    assert not kill.done
    world.engine.come_back()
    assert 0 == await kill.answer()
    assert ([], {}) == (world.left(), world.states())


async def test_a_kill_gives_up_on_an_engine_that_stays_away(world: World) -> None:
    await world.launch("a-1")
    world.engine.go_away()
    began = now()
    assert 503 == await world.killing("a-1").answer()
    assert 5 <= now() - began < 7
    assert {"a-1": "running"} == world.states()
    world.engine.come_back()
    await world.kill("a-1")
    assert [] == world.left()


async def test_a_kill_of_what_a_hung_engine_has_is_refused_after_five_seconds(
    world: World,
) -> None:
    await world.launch("a-1")
    world.engine.hang()
    await until(lambda: not world.readiness.ready, within=5)
    began = now()
    kill, kill_all = world.killing("a-1"), world.killing_all()
    assert (503, 503) == (await kill.answer(), await kill_all.answer())
    assert 5 <= now() - began < 6
    assert {"a-1": "running"} == world.states()
    world.engine.wake()
    await world.kill("a-1")
    assert [] == world.left()


async def test_a_stop_is_no_reason_not_to_kill(world: World) -> None:
    await world.launch("a-1")
    world.readiness.drain()
    await world.kill("a-1")
    assert [] == world.left()


async def test_a_client_that_goes_leaves_a_kill_that_completes(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("stop")
    kill = world.killing("a-1")
    await hold.reached()
    kill.hang_up()
    hold.release()
    await until(lambda: world.states() == {})
    assert [] == world.left()


async def test_a_third_party_that_restarts_what_is_killed_makes_the_kill_fail(
    world: World,
) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    hold = world.faults.hold("stop", after=True)
    kill = world.killing("a-1")
    await hold.reached()
    world.host.start(container.id)
    hold.release()
    assert 502 == await kill.answer()
    await until(lambda: world.states() == {"a-1": "running"})
    assert ["a-1"] == world.running()


async def test_a_kill_fails_whose_kept_container_a_third_party_restarts(
    development: World,
) -> None:
    await development.launch("a-1")
    hold = development.faults.hold("stop", after=True)
    kill = development.killing("a-1")
    await hold.reached()
    development.host.start(development.container("a-1-1").id)
    hold.release()
    assert 502 == await kill.answer()
    await until(lambda: development.states() == {"a-1": "running"})
    assert ["a-1-1"] == development.running()


async def start_again_during_its_kill(world: World) -> tuple[Asked, Hold]:
    """Start a container by hand whose job has ended by itself during its kill; the kill's stop."""
    await world.launch("a-1")
    container = world.container("a-1-1")
    look = world.faults.hold("inspect")
    world.host.exit(container.id, 1)
    await look.reached()
    stop = world.faults.hold("stop")
    kill = world.killing("a-1")
    await stop.reached()
    look.release()
    await until(lambda: world.states() == {})
    world.host.start(container.id)
    await until(lambda: world.states() == {"a-1": "running"})
    return kill, stop


async def test_a_kill_does_not_stop_what_is_started_again_after_its_job_was_closed(
    development: World,
) -> None:
    world = development
    kill, stop = await start_again_during_its_kill(world)
    stop.refuse(EngineUnavailable("away"))
    assert 0 == await kill.answer()
    await pass_time()
    assert ["a-1-1"] == world.running()
    assert {"a-1": "running"} == world.states()


async def test_nor_does_a_later_kill_join_it(development: World) -> None:
    world = development
    earlier, stop = await start_again_during_its_kill(world)
    await world.kill("a-1")
    assert ([], {}) == (world.running(), world.states())
    assert {"error": 1, "killed": 1} == world.outcomes("supervisor_exits_total")
    stop.refuse(EngineUnavailable("away"))
    assert 0 == await earlier.answer()


async def test_nor_does_its_failure_end_a_later_kill(development: World) -> None:
    world = development
    earlier, stop = await start_again_during_its_kill(world)
    later_stop = world.faults.hold("stop")
    later = world.killing("a-1")
    await later_stop.reached()
    stop.refuse(EngineRefused("cannot"))
    assert 502 == await earlier.answer()
    later_stop.release()
    assert 0 == await later.answer()
    assert {"error": 1, "killed": 1} == world.outcomes("supervisor_exits_total")


async def test_a_kill_is_not_misled_by_a_look_from_before_it(world: World) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    world.host.exit(container.id, 0)
    world.host.start(container.id)  # at once: the look that follows the exit finds it live
    look = world.faults.hold("inspect", after=True)
    await look.reached()
    kill = world.killing("a-1")
    await until(lambda: not world.running())
    await pass_time(0.5)  # less than a look may take, or it would be made anew
    look.release()
    assert 0 == await kill.answer()
    assert ([], {}) == (world.left(), world.states())


# Kill all


async def test_kill_all_stops_all_of_ours_in_parallel(world: World) -> None:
    world.put("stranger")
    for n in range(6):
        await world.launch(f"a-{n}", stubborn=1)
    await world.launch("r-1", "mail")
    began = now()
    assert 0 == await world.killing_all().answer()
    assert now() - began < 2 * GRACE
    assert (["stranger"], {}) == (world.left(), world.states())


async def test_kill_all_of_nothing_is_a_success(world: World) -> None:
    assert 0 == await world.killing_all().answer()
    assert {} == world.counted()


async def test_kill_all_covers_launches_under_way_in_every_stage(world: World) -> None:
    await world.launch("running")
    await world.launch("waiting")
    stop = world.faults.hold("stop")
    kill = world.killing("waiting")
    await stop.reached()
    create, start = world.faults.hold("create"), world.faults.hold("start")
    creating = world.launching("creating")
    await create.reached()
    starting = world.launching("starting")
    await start.reached()
    successor = world.launching("waiting")  # for the end of its predecessor
    await pass_time()
    everything = world.killing_all()
    await pass_time()
    assert not everything.done
    assert set(world.states().values()) == {"stopping"}
    for hold in (create, start, stop):
        hold.release()
    asked = (everything, kill, creating, starting, successor)
    assert [0] * 5 == [await each.answer() for each in asked]
    assert ([], {}) == (world.left(), world.states())


async def test_kill_all_covers_launches_that_queue_for_the_engine(world: World) -> None:
    holds = [world.faults.hold("create") for _ in range(8)]
    launches = [world.launching(f"a-{n}") for n in range(12)]
    for hold in holds:
        await hold.reached()
    everything = world.killing_all()
    await pass_time()
    for hold in holds:
        hold.release()
    assert 0 == await everything.answer()
    assert [0] * 12 == [await launch.answer() for launch in launches]
    assert ([], {}) == (world.left(), world.states())


async def test_kill_all_covers_launches_that_wait_for_the_engine(world: World) -> None:
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    launch = world.launching("a-1")
    await pass_time(1)
    everything = world.killing_all()
    await pass_time(1)
    world.engine.come_back()
    assert (0, 0) == (await launch.answer(), await everything.answer())
    assert ([], {}) == (world.running(), world.states())


async def test_kill_all_covers_launches_that_wait_for_the_first_listing(unstarted: World) -> None:
    launch = unstarted.launching("a-1")
    await pass_time(1)
    everything = unstarted.killing_all()
    await pass_time(1)
    unstarted.watch()
    assert (0, 0) == (await launch.answer(), await everything.answer())
    assert ([], {}) == (unstarted.running(), unstarted.states())


async def test_kill_all_leaves_what_comes_after_it(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("stop")
    everything = world.killing_all()
    await hold.reached()
    await world.launch("a-2")
    hold.release()
    assert 0 == await everything.answer()
    assert {"a-2": "running"} == world.states()


async def test_kill_all_tries_every_one_and_reports_what_failed(world: World) -> None:
    for n in range(4):
        await world.launch(f"a-{n}")
    world.faults.fail("stop", EngineRefused("cannot"), times=2)
    everything = world.killing_all()
    assert 502 == await everything.answer()
    error = everything.error
    assert isinstance(error, KillAllFailed)
    assert 2 == len(world.running())
    assert dict.fromkeys(world.running(), "running") == world.states()
    assert f"{', '.join(map(repr, sorted(world.running())))}: cannot" in error.message
    assert error.message.startswith("2 of 4 jobs")
    assert 2 == world.metric("supervisor_failures_total", operation="kill_all")
    (told,) = world.logged("kill_all.ended")
    assert (4, 2) == (told["jobs"], told["failed"])


async def test_kill_all_waits_for_the_first_listing(unstarted: World) -> None:
    everything = unstarted.killing_all()
    await pass_time(10)
    assert not everything.done
    unstarted.watch()
    assert 0 == await everything.answer()
