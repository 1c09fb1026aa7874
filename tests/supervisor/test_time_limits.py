"""Time limits: when a job is ended that has run for as long as it may, and what that is called."""

import asyncio
import random
import time

import pytest

from service.errors import EngineFailed, EngineUnavailable
from service.jobs.labels import labels_of
from service.lifecycle.exit_hints import Hint
from tests.supervisor.world import GRACE, World, a_world, pass_time, two_worlds, until
from tests.support.samples import a_job

LIMIT = 900.0  # of the job "limited"


def now() -> float:
    return asyncio.get_running_loop().time()


async def gone(world: World, *, within: float) -> float:
    began = now()
    await until(lambda: not world.states(), within=within)
    return now() - began


async def test_a_job_is_ended_after_its_time(world: World) -> None:
    await world.launch("a-1", "limited")
    assert pytest.approx(LIMIT, abs=3) == await gone(world, within=1000)
    assert [] == world.left()
    assert {"timed_out": 1} == world.outcomes("supervisor_exits_total")
    (exited,) = world.logged("job.exited")
    assert ("timed_out", 143, "warning") == (
        exited["outcome"],
        exited["exit_code"],
        exited["log_level"],
    )
    assert "by" not in exited
    assert 1 == len(world.logged("job.time_limit_passed"))
    assert 0 == world.metric("supervisor_exits_by_others_total")
    assert {} == world.outcomes("supervisor_kills_total")


async def test_one_that_ignores_sigterm_has_its_grace(world: World) -> None:
    await world.launch("a-1", "limited", stubborn=1)
    assert pytest.approx(LIMIT + GRACE, abs=3) == await gone(world, within=1000)
    assert 137 == world.logged("job.exited")[0]["exit_code"]


async def test_a_job_that_ends_before_that_is_left_alone(world: World) -> None:
    await world.launch("a-1", "limited")
    await pass_time(LIMIT / 2)
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: not world.states())
    await world.launch("a-1", "timer")
    await pass_time(LIMIT)
    assert {"a-1": "running"} == world.states()
    assert {"error": 1} == world.outcomes("supervisor_exits_total")


async def test_a_pause_does_not_stop_the_time(world: World) -> None:
    await world.launch("a-1", "limited")
    world.host.pause(world.container("a-1").id)
    await gone(world, within=1000)
    assert {"timed_out": 1} == world.outcomes("supervisor_exits_total")


async def test_a_kill_at_that_moment_is_a_kill(world: World) -> None:
    await world.launch("a-1", "limited", stubborn=1)
    await pass_time(LIMIT + 1)
    assert {"a-1": "stopping"} == world.listed()
    await world.kill("a-1")
    assert {"killed": 1} == world.outcomes("supervisor_exits_total")


async def test_a_launch_at_that_moment_starts_a_new_job(world: World) -> None:
    await world.launch("a-1", "limited", stubborn=1)
    old = world.container("a-1")
    await pass_time(LIMIT + 1)
    await world.launch("a-1", "timer")
    assert old.id != world.container("a-1").id
    assert {"timed_out": 1} == world.outcomes("supervisor_exits_total")
    assert 0 == world.metric("supervisor_dedups_total")


async def test_an_engine_that_fails_is_asked_again(world: World) -> None:
    await world.launch("a-1", "limited")
    world.faults.fail("stop", EngineFailed("busy"), times=9)
    world.faults.fail("stop", EngineUnavailable("gone"), times=2)
    await gone(world, within=1000)
    assert {"timed_out": 1} == world.outcomes("supervisor_exits_total")


@pytest.mark.parametrize(("ran", "left"), [(LIMIT - 60, 60.0), (LIMIT + 60, 0.0)])
async def test_a_restart_of_the_supervisor_does_not_stop_the_time(ran: float, left: float) -> None:
    async with a_world(started=False, adopt=True) as world:
        labels = labels_of(a_job(identifier="a-1", time_limit=LIMIT), "default")
        world.put("a-1", dict(labels)).started_at = time.time() - ran
        world.watch()
        await world.ready()
        assert pytest.approx(left, abs=3) == await gone(world, within=1000)
        assert {"timed_out": 1} == world.outcomes("supervisor_exits_total")
        assert [] == world.left()


async def test_with_restarts_each_run_has_the_whole_time(world: World) -> None:
    await world.launch("a-1", "limited again")
    first = world.container("a-1")
    await pass_time(LIMIT + 10)
    assert first.id != world.container("a-1").id
    assert {"a-1": "running"} == world.states()
    await pass_time(LIMIT + 10)
    assert 2 == world.metric("supervisor_restarts_total")
    assert ["timed_out"] * 2 == [each["outcome"] for each in world.logged("job.backing_off")]
    assert {} == world.outcomes("supervisor_exits_total")
    await world.kill("a-1")
    await pass_time(2 * LIMIT)
    assert 2 == len(world.logged("job.time_limit_passed"))


@pytest.mark.parametrize("more", [{}, {"stubborn": 1}])
async def test_of_two_supervisors_both_know_that_its_time_is_over(more: dict[str, int]) -> None:
    async with two_worlds() as (one, other):
        await one.launch("a-1", "limited", **more)
        await until(lambda: other.states() == {"a-1": "running"})
        await pass_time(LIMIT + 60)
        assert {} == one.states() == other.states()
        assert ["timed_out"] == [each["outcome"] for each in one.logged("job.exited")]


@pytest.mark.parametrize("more", [{}, {"stubborn": 1}])
async def test_of_two_supervisors_one_starts_it_again_after_its_time(more: dict[str, int]) -> None:
    async with two_worlds() as (one, other):
        await one.launch("a-1", "limited again", **more)
        await until(lambda: other.states() == {"a-1": "running"})
        for _ in range(2):
            await pass_time(LIMIT + 60)
            assert {"a-1": "running"} == one.states() == other.states()
        assert {"timed_out"} == {each["outcome"] for each in one.logged("job.backing_off")}
        assert [] == one.logged("job.exited")
        await other.kill("a-1")
        await until(lambda: not one.states())
        assert ["killed"] == [each["outcome"] for each in one.logged("job.exited")]


async def test_what_waits_after_its_time_was_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    async with two_worlds() as (one, other):
        await one.launch("a-1", "limited, later again")
        await until(lambda: other.states() == {"a-1": "running"})
        await pass_time(LIMIT + 60)
        for world in (one, other):
            (job,) = world.registry.jobs()
            await world.reaper.reap(job.launch_id, Hint())
        assert {"a-1": "backing_off"} == one.states() == other.states()
        assert ["a-1"] == one.left()
