"""Jobs that are ended and started again because they are unhealthy: `restart` says so."""

import asyncio
from typing import Any

import pytest

from service.engine.workloads import Health
from service.errors import EngineFailed, EngineRefused, ImageMissing
from service.jobs.labels import labels_of, restarts_in
from service.jobs.restart_policy import RestartPolicy
from tests.fake_engine.host import Container
from tests.supervisor.test_restarts import left_behind
from tests.supervisor.world import GRACE, World, a_world, pass_time, until
from tests.support.samples import a_job

POLICY = RestartPolicy("failure", 5, 600.0, 1.0, 300.0, unhealthy=True)
LONG = 9999.0


async def launched(world: World, name: str = "healthy again", **params: Any) -> Container:
    await world.launch("a-1", name, **params)
    return world.container("a-1")


async def successor_of(world: World, old: Container) -> Container:
    def found() -> bool:
        lives = [each.id for each in world.host.live]
        return len(lives) == 1 and lives != [old.id] and world.states() == {"a-1": "running"}

    await until(found, within=600)
    await pass_time(0.5)
    return world.host.live[0]


async def test_a_job_that_becomes_unhealthy_is_started_again(world: World) -> None:
    old = await launched(world)
    world.host.probe(old.id, 1, "refused")
    new = await successor_of(world, old)
    assert 1 == restarts_in(new.spec.labels).total
    assert 1 == len(world.logged("job.unhealthy"))
    (ended,) = world.logged("job.ended_as_unhealthy")
    assert ("a-1", old.id, "warning") == tuple(
        ended[key] for key in ("identifier", "container_id", "log_level")
    )
    (told,) = world.logged("job.backing_off")
    assert ("error", 143, "unhealthy", 1) == tuple(
        told[key] for key in ("outcome", "exit_code", "reason", "attempt")
    )
    assert ["a-1"] == world.left()
    assert {"launches": 1} == world.counted()
    assert 0 == world.metric("supervisor_jobs_unhealthy")
    await pass_time(LONG)
    assert [new.id] == [each.id for each in world.host.live]


async def test_a_job_whose_restart_does_not_say_so_runs_on(world: World) -> None:
    old = await launched(world, "again")
    world.host.probe(old.id, 1)
    await pass_time(LONG)
    assert [old.id] == [each.id for each in world.host.live]


async def test_past_its_attempts_it_ends_with_its_outcome_told_once(world: World) -> None:
    old = await launched(world, "healthy once")
    world.host.probe(old.id, 1)
    again = await successor_of(world, old)
    world.host.probe(again.id, 1)
    await until(lambda: not world.states())
    assert [] == world.left()
    (exited,) = world.logged("job.exited")
    assert ("error", "unhealthy", "attempts", 1, "warning") == tuple(
        exited[key] for key in ("outcome", "reason", "not_restarted", "restarts", "log_level")
    )
    assert "by" not in exited
    assert {"error": 1} == world.outcomes("supervisor_exits_total")
    assert 0 == world.metric("supervisor_exits_by_others_total")
    assert {} == world.outcomes("supervisor_kills_total")


async def test_it_has_its_grace_and_being_healthy_by_then_does_not_help(world: World) -> None:
    old = await launched(world, stubborn=1)
    began = asyncio.get_running_loop().time()
    world.host.probe(old.id, 1)
    await until(lambda: world.listed() == {"a-1": "stopping"})
    world.host.probe(old.id, 0)
    await until(lambda: bool(world.logged("job.backing_off")), within=2 * GRACE)
    assert pytest.approx(GRACE, abs=1) == asyncio.get_running_loop().time() - began
    await successor_of(world, old)


async def test_a_stop_that_fails_is_tried_again(world: World) -> None:
    old = await launched(world)
    world.faults.fail("stop", EngineRefused("busy"), times=3)
    world.host.probe(old.id, 1)
    await pass_time(0.5)
    world.host.probe(old.id, 0)
    await successor_of(world, old)
    assert 1 == len(world.logged("job.ended_as_unhealthy"))


async def test_a_kill_wins(world: World) -> None:
    old = await launched(world, stubborn=1)
    world.host.probe(old.id, 1)
    await until(lambda: world.listed() == {"a-1": "stopping"})
    await world.kill("a-1")
    await pass_time(LONG)
    assert ([], {}) == (world.left(), world.states())
    assert {"killed": 1} == world.outcomes("supervisor_exits_total")
    (exited,) = world.logged("job.exited")
    assert "reason" not in exited


async def test_after_a_kill_that_failed_it_is_ended(world: World) -> None:
    old = await launched(world)
    world.faults.fail("stop", EngineFailed("no"), times=4)
    kill = world.killing("a-1")
    await pass_time(0.01)
    world.host.probe(old.id, 1)
    assert 500 <= await kill.answer()
    await successor_of(world, old)


async def test_a_launch_meanwhile_is_a_dedup(world: World) -> None:
    old = await launched(world, stubborn=1)
    world.host.probe(old.id, 1)
    await until(lambda: world.listed() == {"a-1": "stopping"})
    await world.launch("a-1", "healthy again", stubborn=1)
    await successor_of(world, old)
    assert 1 == world.metric("supervisor_launches_total")
    assert 1 == world.metric("supervisor_dedups_total")


async def test_a_job_that_somebody_has_paused_is_left_alone_until_it_goes_on(world: World) -> None:
    old = await launched(world)
    world.host.pause(old.id)
    await until(lambda: world.listed() == {"a-1": "paused"})
    world.host.probe(old.id, 1)
    await pass_time(60)
    assert {"a-1": "paused"} == world.listed()
    world.host.pause(old.id, paused=False)
    await successor_of(world, old)


async def test_a_launch_that_waits_for_its_health_has_its_whole_time(world: World) -> None:
    launch = world.launching("a-1", "healthy first")
    await until(lambda: bool(world.host.live))
    first = world.host.live[0]
    world.host.probe(first.id, 1)
    await pass_time(10)
    assert not launch.done
    world.host.probe(first.id, 0)
    await launch
    world.host.probe(first.id, 1)
    second = await successor_of(world, first)
    world.host.probe(second.id, 1)  # which never was healthy
    await successor_of(world, second)


async def test_its_last_outcome_is_told_if_no_successor_can_be_made(world: World) -> None:
    old = await launched(world, "healthy once")
    world.faults.fail("create", ImageMissing("no such image"), times=99)
    world.host.probe(old.id, 1)
    await until(lambda: not world.states(), within=600)
    (exited,) = world.logged("job.exited")
    assert ("error", "unhealthy", "refused") == tuple(
        exited[key] for key in ("outcome", "reason", "not_restarted")
    )


@pytest.mark.parametrize("keep", [True, False])
async def test_a_job_that_is_unhealthy_when_a_supervisor_comes_back_is_started_again(
    keep: bool,
) -> None:
    async with a_world(started=False, adopt=True, keep=keep) as world:
        job = a_job(identifier="a-1", name="healthy again", restart=POLICY)
        old = world.put("a-1", dict(labels_of(job, "default")))
        old.health = Health.UNHEALTHY
        world.watch()
        await world.ready()
        await successor_of(world, old)
        assert ["a-1"] == world.left()


async def test_one_that_became_unhealthy_while_the_engine_was_away_is_too(world: World) -> None:
    old = await launched(world)
    world.engine.go_away()
    old.health = Health.UNHEALTHY
    await pass_time(3)
    world.engine.come_back()
    await world.ready()
    await successor_of(world, old)


async def test_of_a_job_of_an_earlier_version_nothing_is_ended() -> None:
    async with a_world(started=False, adopt=True) as world:
        old = left_behind(world)
        label = old.spec.labels["area.supervisor.restart"].replace(', "unhealthy": false', "")
        old.spec.labels["area.supervisor.restart"] = label  # type: ignore[index]
        old.health = Health.UNHEALTHY
        world.watch()
        await world.ready()
        await pass_time(60)
        assert [old.id] == [each.id for each in world.host.live]
