"""Docker may tell that memory ran out after it has told of the exit; nothing else waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from service.errors import EngineError, EngineRefused, EngineTimeout, EngineUnavailable
from service.jobs.labels import labels_of
from service.lifecycle.exit_hints import Hint
from tests.supervisor.world import World, pass_time, refuse_removal, until
from tests.support.samples import a_job

DELAY = 0.25
AT_ONCE = DELAY / 2


def now() -> float:
    return asyncio.get_running_loop().time()


async def killed(world: World, identifier: str = "a-1") -> str:
    """A job whose process somebody or something has just killed; its container's id."""
    await world.launch(identifier)
    container = world.container(identifier)
    world.host.exit(container.id, 137)
    await pass_time(DELAY / 5)
    assert "exited" == world.states()[identifier]
    return container.id


async def test_what_is_told_after_the_exit_is_still_why(world: World) -> None:
    container_id = await killed(world)
    world.host.tell_out_of_memory(container_id)
    began = now()
    await until(lambda: world.states() == {})
    assert now() - began < AT_ONCE
    assert {"oom": 1} == world.outcomes("supervisor_exits_total")
    [entry] = world.logged("job.exited")
    assert ("oom", 137, True) == (entry["outcome"], entry["exit_code"], entry["oom_killed"])
    assert [] == world.left()


async def test_what_is_told_in_time_is_not_waited_for(world: World) -> None:
    await world.launch("a-1")
    began = now()
    world.host.exit(world.container("a-1").id, 137, oom_killed=True)
    await until(lambda: world.states() == {})
    assert now() - began < AT_ONCE
    assert {"oom": 1} == world.outcomes("supervisor_exits_total")


async def test_what_is_told_with_the_exit_is_not_waited_for(world: World) -> None:
    await world.launch("a-1")
    began = now()
    world.host.exit(world.container("a-1").id, 137)
    world.host.tell_out_of_memory(world.container("a-1").id)
    await until(lambda: world.states() == {})
    assert now() - began < AT_ONCE
    assert {"oom": 1} == world.outcomes("supervisor_exits_total")


async def test_a_launch_does_not_take_what_has_just_ended_for_running(world: World) -> None:
    """Memory runs out, somebody looks, and the exit is told before the look's older answer."""
    await world.launch("a-1")
    ended = world.container("a-1")
    hold = world.faults.hold("inspect", after=True)
    world.host.tell_out_of_memory(ended.id)
    await hold.reached()
    world.host.exit(ended.id, 137)
    launch = world.launching("a-1")
    hold.release()
    await launch
    await until(lambda: {"a-1": "running"} == world.states())
    assert world.container("a-1") is not ended
    assert {"launches": 2, "exits": 1} == world.counted()


async def test_what_only_the_state_tells_is_not_waited_for(world: World) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    world.host.exit(container.id, 137)
    container.oom_killed = True
    began = now()
    await until(lambda: world.states() == {})
    assert now() - began < AT_ONCE
    assert {"oom": 1} == world.outcomes("supervisor_exits_total")


@pytest.mark.parametrize(("code", "waited"), [(137, DELAY), (143, 0.0), (1, 0.0), (0, 0.0)])
async def test_nothing_but_a_sigkill_is_waited_for(world: World, code: int, waited: float) -> None:
    await world.launch("a-1")
    began = now()
    world.host.exit(world.container("a-1").id, code)
    await until(lambda: world.states() == {})
    assert waited <= now() - began < waited + AT_ONCE


async def test_what_nobody_saw_is_not_waited_for(world: World) -> None:
    await world.launch("a-1")
    (job,) = world.supervisor.list_jobs()
    world.host.listeners.clear()
    world.host.exit(world.container("a-1").id, 137)
    began = now()
    world.faults.clear()
    await world.reaper.reap(job.launch_id, Hint())
    assert now() - began < AT_ONCE
    assert {"lost": 1} == world.outcomes("supervisor_exits_total")


async def test_our_own_sigkill_is_not_waited_for(world: World) -> None:
    await world.launch("a-1", stubborn=1)
    kill = world.killing("a-1")
    container = world.container("a-1")
    await container.exited.wait()
    assert 137 == container.exit_code
    began = now()
    await kill
    assert now() - began < AT_ONCE
    assert {"killed": 1} == world.outcomes("supervisor_exits_total")


@pytest.mark.parametrize(
    "kill", [lambda world: world.kill("a-1"), lambda world: world.killing_all()], ids=["one", "all"]
)
async def test_a_kill_does_not_wait_for_it(
    world: World, kill: Callable[[World], Awaitable[None]]
) -> None:
    await killed(world)
    began = now()
    await kill(world)
    assert now() - began < AT_ONCE
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_what_is_removed_meanwhile_is_closed_at_once(world: World) -> None:
    container_id = await killed(world)
    began = now()
    await world.host.remove(container_id)
    await until(lambda: world.states() == {})
    assert now() - began < AT_ONCE
    [entry] = world.logged("job.exited")
    assert ("error", 137) == (entry["outcome"], entry["exit_code"])


async def test_what_is_started_again_meanwhile_is_a_job_that_ends_for_its_own_reasons(
    world: World,
) -> None:
    container_id = await killed(world)
    world.host.start(container_id)
    await until(lambda: world.states() == {"a-1": "running"})
    world.host.tell_out_of_memory(container_id)  # of the life before
    await pass_time()
    assert {"a-1": "running"} == world.states()
    world.host.exit(container_id, 1)
    await until(lambda: world.states() == {})
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_the_want_of_memory_of_another_container_is_not_why(world: World) -> None:
    await killed(world)
    labels = dict(world.container("a-1").spec.labels)
    copy = world.put("copy", labels)  # as `docker commit` and `docker run` make one
    world.host.exit(copy.id, 137, oom_killed=True)
    await until(lambda: world.states() == {})
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_what_is_told_while_somebody_looks_is_not_waited_for(world: World) -> None:
    await world.launch("a-1")
    container_id = world.container("a-1").id
    hold = world.faults.hold("inspect", after=True)
    world.host.exit(container_id, 137)
    await hold.reached()
    world.host.tell_out_of_memory(container_id)
    await pass_time(0.01)
    hold.release()
    began = now()
    await until(lambda: world.states() == {})
    assert now() - began < AT_ONCE
    assert {"oom": 1} == world.outcomes("supervisor_exits_total")


@pytest.mark.parametrize("oom_killed", [True, False])
async def test_what_is_removed_while_somebody_looks_has_ended_as_was_seen(
    world: World, *, oom_killed: bool
) -> None:
    """Where no event has told it."""
    await world.launch("a-1")
    (job,) = world.supervisor.list_jobs()
    container = world.container("a-1")
    world.host.listeners.clear()
    world.host.exit(container.id, 137)
    container.oom_killed = oom_killed
    hold = world.faults.hold("tail")
    looks = [asyncio.create_task(world.reaper.reap(job.launch_id, Hint(witnessed=True)))]
    await pass_time(DELAY / 5)
    if oom_killed:
        await hold.reached()
    await world.host.remove(container.id)
    looks.append(asyncio.create_task(world.reaper.reap(job.launch_id, Hint(witnessed=True))))
    await asyncio.sleep(0)
    hold.release()
    await asyncio.gather(*looks)
    [entry] = world.logged("job.exited")
    outcome = "oom" if oom_killed else "error"
    assert (outcome, 137, oom_killed) == tuple(
        entry[key] for key in ("outcome", "exit_code", "oom_killed")
    )


async def test_what_is_said_of_a_job_and_not_awaited_any_more_is_forgotten(world: World) -> None:
    await killed(world)
    await until(lambda: world.states() == {})
    assert {} == world.reaper._hints._added
    assert {} == world.reaper._hints._hints


async def test_what_is_removed_while_somebody_looks_is_closed_for_what_was_told(
    world: World,
) -> None:
    await world.launch("a-1")
    container_id = world.container("a-1").id
    hold = world.faults.hold("tail")
    world.host.exit(container_id, 137, oom_killed=True)
    await hold.reached()
    await world.host.remove(container_id)
    hold.release()
    await until(lambda: world.states() == {})
    [entry] = world.logged("job.exited")
    assert ("oom", 137, True) == (entry["outcome"], entry["exit_code"], entry["oom_killed"])


@pytest.mark.parametrize("after", [True, False])
async def test_what_is_told_of_what_is_about_to_be_a_job_is_still_why(
    world: World, *, after: bool
) -> None:
    """Somebody has started it, and it has ended when the answer to the first look arrives."""
    labels = labels_of(a_job("1" * 16), "default")
    container = world.put("a-1", dict(labels), started=False)
    await pass_time()
    look = world.faults.hold("inspect", after=after)
    world.host.start(container.id)
    await look.reached()
    world.host.exit(container.id, 137)
    world.host.tell_out_of_memory(container.id)
    await pass_time()
    look.release()
    await until(lambda: world.left() == [])
    assert {"oom": 1} == world.outcomes("supervisor_exits_total")


async def test_but_not_of_a_later_run(development: World) -> None:
    world = development
    await world.launch("a-1")
    container = world.container("a-1-1")
    world.host.exit(container.id, 1)
    await until(lambda: world.states() == {})
    world.host.tell_out_of_memory(container.id)
    await pass_time()
    look = world.faults.hold("inspect", after=True)
    world.host.start(container.id)
    await look.reached()
    world.host.exit(container.id, 1)
    await pass_time()
    look.release()
    await until(lambda: 2 == world.metric("supervisor_exits_total"))
    assert {"error": 2} == world.outcomes("supervisor_exits_total")


@pytest.mark.parametrize("error", [EngineRefused("no"), EngineTimeout("late")], ids=repr)
async def test_a_look_that_fails_does_not_make_it_forgotten(
    world: World, error: EngineError
) -> None:
    await world.launch("a-1")
    container = world.container("a-1")
    hold = world.faults.hold("inspect")
    world.host.exit(container.id, 137)
    await hold.reached()
    world.faults.fail("inspect", error, times=2)
    world.host.tell_out_of_memory(container.id)
    await pass_time(0.01)
    hold.refuse(error)
    await until(lambda: world.states() == {}, within=10)
    assert {"oom": 1} == world.outcomes("supervisor_exits_total")


async def test_a_removal_that_is_refused_does_not_pass_it_on_to_another_life(
    world: World,
) -> None:
    container_id = await killed(world)
    for _ in range(9):
        refuse_removal(world)
    world.host.tell_out_of_memory(container_id)
    await pass_time(5)
    world.faults.clear()
    world.host.start(container_id)
    await until(lambda: world.states() == {"a-1": "running"})
    world.host.exit(container_id, 1)
    await until(lambda: world.states() == {}, within=60)
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_a_removal_that_is_refused_does_not_make_it_forgotten(world: World) -> None:
    container_id = await killed(world)
    world.faults.fail("remove", EngineRefused("device busy"))
    world.host.tell_out_of_memory(container_id)
    await until(lambda: world.states() == {}, within=10)
    assert {"oom": 1} == world.outcomes("supervisor_exits_total")
    assert 1 == len(world.logged("job.exited"))


async def test_what_was_said_when_the_engine_went_away_is_forgotten(world: World) -> None:
    """It may have taken its containers along."""
    await world.launch("a-1")
    (job,) = world.supervisor.list_jobs()
    container = world.container("a-1")
    hold = world.faults.hold("inspect")
    world.host.exit(container.id, 137)
    await hold.reached()
    world.host.tell_out_of_memory(container.id)
    await pass_time(0.01)
    world.faults.fail("inspect", EngineUnavailable("away"), times=99)
    hold.refuse(EngineUnavailable("away"))
    await pass_time(5)
    assert {"a-1": "exited"} == world.states()
    world.faults.clear()
    await world.reaper.reap(job.launch_id, Hint())
    assert {"lost": 1} == world.outcomes("supervisor_exits_total")


async def test_an_engine_that_does_not_tell_of_memory_is_not_waited_for(world: World) -> None:
    without = replace(world.engine.capabilities, reports_lack_of_memory_within=None)
    world.engine.capabilities = without
    await world.launch("a-1")
    began = now()
    world.host.exit(world.container("a-1").id, 137)
    await until(lambda: world.states() == {})
    assert now() - began < AT_ONCE
    assert {"error": 1} == world.outcomes("supervisor_exits_total")
