"""Launches that are answered once their job is healthy, and jobs that are not healthy any more."""

import time
from typing import Any

import pytest

from service.engine.workloads import Health
from service.errors import EngineRefused
from service.jobs.labels import job_from_labels, labels_of
from service.jobs.model import Job, Kind
from tests.fake_engine.host import Container
from tests.supervisor.test_leftovers import unheard
from tests.supervisor.world import Asked, World, a_world, pass_time, until
from tests.support.samples import a_job

# As the catalogue of the tests has it, in seconds.
READY_WITHIN = 30.0
# A comparison each 30 s.
COMPARED = 35.0


async def _waiting(world: World, name: str = "api") -> tuple[Asked, Container]:
    """A launch that waits for the health of its job, and the container of that."""
    launch = world.launching("a-1", name)
    await until(lambda: bool(world.host.live))
    await pass_time(1)
    assert not launch.done
    assert {"a-1": "starting"} == world.listed()
    return launch, world.host.live[0]


def _unhealthy(world: World) -> float:
    return world.metric("supervisor_jobs_unhealthy", job_name="api")


async def test_a_launch_is_answered_once_its_job_is_healthy_and_so_are_those_that_repeat_it(
    world: World,
) -> None:
    launch, container = await _waiting(world)
    repeated = world.launching("a-1", "api")
    await pass_time(READY_WITHIN / 2)
    assert [False, False] == [launch.done, repeated.done]
    world.host.probe(container.id, 0)
    assert (0, 0) == (await launch.answer(), await repeated.answer())
    assert {"a-1": "running"} == world.listed()
    assert {"launches": 1, "dedups": 1} == world.counted()
    assert ["a-1"] == [event["identifier"] for event in world.logged("job.healthy")]


async def test_a_job_that_is_unhealthy_at_first_may_become_healthy(world: World) -> None:
    launch, container = await _waiting(world)
    world.host.probe(container.id, 1, "not yet")
    await until(lambda: 1 == _unhealthy(world))
    assert not launch.done
    world.host.probe(container.id, 0)
    assert 0 == await launch.answer()
    assert 0 == _unhealthy(world)


async def test_a_health_that_no_event_has_told_is_looked_up(world: World) -> None:
    launch, container = await _waiting(world)
    with unheard(world):
        world.host.probe(container.id, 0)
    await until(lambda: launch.done, within=6)
    assert 0 == await launch.answer()


async def test_a_job_that_is_not_healthy_in_its_time_is_ended_and_its_launch_fails(
    world: World,
) -> None:
    launch, container = await _waiting(world)
    repeated = world.launching("a-1", "api")
    world.host.probe(container.id, 7, "connection refused\n")
    await until(lambda: launch.done, within=READY_WITHIN + 5)
    assert (502, 502) == (await launch.answer(), await repeated.answer())
    assert launch.error is not None
    for words in ("within ready_timeout (30 s)", "ended with 7 and said: connection refused"):
        assert words in launch.error.message
    assert [] == world.left()
    assert {} == world.states()
    assert {"killed": 1} == world.outcomes("supervisor_exits_total")
    assert 1 == len(world.logged("job.not_ready"))
    assert 0 == _unhealthy(world)
    relaunch, container = await _waiting(world)
    world.host.probe(container.id, 0)
    assert 0 == await relaunch.answer()


async def test_a_launch_without_a_probe_says_when_the_first_one_comes(world: World) -> None:
    launch, _ = await _waiting(world)
    assert 502 == await launch.answer()
    assert launch.error is not None
    assert "no probe has ended; the first begins one `interval`" in launch.error.message


async def test_a_stop_that_fails_is_tried_again_until_nothing_is_left(world: World) -> None:
    launch, _ = await _waiting(world)
    world.faults.fail("stop", EngineRefused("busy"), times=3)
    assert 502 == await launch.answer()
    await until(lambda: world.left() == [], within=30)
    assert {} == world.states()


@pytest.mark.parametrize(
    ("name", "code", "answer"),
    [("api", 3, 502), ("api", 0, 502), ("setup", 3, 502), ("setup", 0, 0)],
)
async def test_a_worker_that_exits_before_it_is_healthy_has_failed_unless_it_is_done(
    world: World, name: str, code: int, answer: int
) -> None:
    launch, container = await _waiting(world, name)
    world.host.exit(container.id, code)
    assert answer == await launch.answer()
    if launch.error is not None:
        assert (
            f"ended before it was healthy ({'error' if code else 'ended'}" in launch.error.message
        )
    assert [] == world.left()


@pytest.mark.parametrize("name", ["api", "healthy first"])
async def test_a_job_that_runs_again_before_it_is_healthy_has_its_whole_time_again(
    world: World, name: str
) -> None:
    launch, container = await _waiting(world, name)
    await pass_time(READY_WITHIN / 2)
    world.host.exit(container.id, 143)
    if name == "api":  # which the supervisor does not start again
        world.host.start(container.id)
    await until(lambda: bool(world.host.live) and world.listed() == {"a-1": "starting"})
    await pass_time(READY_WITHIN - 2)
    assert {"a-1": "starting"} == world.listed()
    assert 502 == await launch.answer()
    assert 1 == len(world.logged("job.not_ready"))
    assert ([], {}) == (world.left(), world.states())


@pytest.mark.parametrize("killed", [False, True])
async def test_what_somebody_starts_again_does_not_end_for_the_reason_of_its_earlier_job(
    killed: bool,
) -> None:
    async with a_world(keep=True) as world:
        launch, container = await _waiting(world)
        assert 502 == await launch.answer()  # it was not healthy in time
        world.host.start(container.id)
        await until(lambda: world.listed() == {"a-1": "starting"})
        again = world.launching("a-1", "api")
        await pass_time(1)
        assert not again.done
        if killed:
            await world.kill("a-1")
            assert 0 == await again.answer()
        else:
            world.host.exit(container.id, 3)
            assert 502 == await again.answer()
            assert again.error is not None
            assert "ended before it was healthy (error, exit code 3)" in again.error.message


async def test_a_kill_ends_the_wait(world: World) -> None:
    for everything in (False, True):
        launch, _ = await _waiting(world)
        kill = world.killing_all() if everything else world.killing("a-1")
        assert 0 == await kill.answer()
        assert 0 == await launch.answer()  # as any launch that is killed as soon as it is done
        assert [] == world.left()


async def test_a_wait_goes_on_without_its_client_and_takes_no_slot() -> None:
    async with a_world(max_launches_under_way=1) as world:
        launch, container = await _waiting(world)
        launch.hang_up()
        await world.launch("t-1", "timer")
        world.host.probe(container.id, 0)
        await until(lambda: world.listed() == {"a-1": "running", "t-1": "running"})


async def test_a_supervisor_that_stops_ends_the_wait_and_not_the_job(world: World) -> None:
    launch, container = await _waiting(world)
    world.readiness.drain()
    assert 503 == await launch.answer()
    await world.supervisor.finish()
    assert [container] == world.host.live


async def test_a_job_without_a_health_check_is_refused_before_it_runs(world: World) -> None:
    launch = world.launching("a-1", "unchecked")
    assert 502 == await launch.answer()
    assert [] == world.left()
    world.host.checked.add("worker")
    launch, container = await _waiting(world, "unchecked")
    world.host.probe(container.id, 0)
    assert 0 == await launch.answer()


# Jobs that are not healthy any more


async def _running(world: World) -> Container:
    launch, container = await _waiting(world)
    world.host.probe(container.id, 0)
    assert 0 == await launch.answer()
    return container


async def test_a_job_that_becomes_unhealthy_counts_until_it_is_healthy_or_ends(
    world: World,
) -> None:
    container = await _running(world)
    world.host.probe(container.id, 1, "down")
    await until(lambda: 1 == _unhealthy(world))
    assert {"a-1": "running"} == world.listed()
    (told,) = world.logged("job.unhealthy")
    assert ("a-1", 1, ["down"]) == (told["identifier"], told["exit_code"], told["output"])
    await world.launch("a-1", "api")  # a dedup, which does not wait
    world.host.probe(container.id, 0)
    await until(lambda: 0 == _unhealthy(world))
    world.host.probe(container.id, 1)
    await until(lambda: 1 == _unhealthy(world))
    world.host.exit(container.id, 1)
    await until(lambda: world.states() == {})
    assert 0 == _unhealthy(world)


async def test_a_job_that_is_being_killed_is_not_told_as_unhealthy() -> None:
    async with a_world(job_stop_grace_seconds=120) as world:
        container = await _running(world)
        stop = world.faults.hold("stop")
        kill = world.killing("a-1")
        await stop.reached()
        world.host.probe(container.id, 1)
        await pass_time(2 * COMPARED)
        assert 0 == _unhealthy(world)
        assert [] == world.logged("job.unhealthy")
        stop.release()
        assert 0 == await kill.answer()


async def test_a_comparison_finds_what_no_event_has_told(world: World) -> None:
    container = await _running(world)
    for code in (1, 0):
        with unheard(world):
            world.host.probe(container.id, code)
        await until(lambda: code == _unhealthy(world), within=COMPARED)  # noqa: B023 - at once
    assert world.readiness.ready


# A restart of the supervisor


def _left_by_an_earlier_run(world: World, *, age: float, health: Health) -> Container:
    job = a_job("1" * 16, name="api", identifier="a-1", kind=Kind.ACTION, ready_within=READY_WITHIN)
    container = world.put("a-1", dict(labels_of(job, "default")))
    container.started_at = time.time() - age
    container.health = health
    return container


async def test_a_start_that_adopts_goes_on_waiting() -> None:
    async with a_world(started=False, adopt=True) as world:
        container = _left_by_an_earlier_run(world, age=10, health=Health.STARTING)
        world.watch()
        await world.ready()
        assert {"a-1": "starting"} == world.listed()
        again = world.launching("a-1", "api")
        await pass_time(10)
        assert not again.done
        world.host.probe(container.id, 0)
        assert 0 == await again.answer()
        assert {"dedups": 1} == world.counted()
        assert [container] == world.host.live


async def test_a_start_that_adopts_ends_what_does_not_become_healthy() -> None:
    async with a_world(started=False, adopt=True) as world:
        _left_by_an_earlier_run(world, age=20, health=Health.STARTING)
        world.watch()
        await world.ready()
        again = world.launching("a-1", "api")
        await until(lambda: again.done, within=15)
        assert 502 == await again.answer()
        assert [] == world.left()


@pytest.mark.parametrize(
    ("age", "health"), [(10, Health.UNHEALTHY), (100, Health.UNHEALTHY), (100, Health.STARTING)]
)
async def test_a_start_that_adopts_ends_nothing_that_may_have_been_healthy(
    age: float, health: Health
) -> None:
    async with a_world(started=False, adopt=True) as world:
        _left_by_an_earlier_run(world, age=age, health=health)
        world.watch()
        await world.ready()
        await pass_time(2 * READY_WITHIN)
        assert {"a-1": "running"} == world.listed()
        assert (health is Health.UNHEALTHY) == _unhealthy(world)


def test_a_label_says_how_long_a_job_has() -> None:
    for within in (None, 0.5, READY_WITHIN):
        job: Any = a_job(ready_within=within)
        read = job_from_labels(labels_of(job, "default"))
        assert isinstance(read, Job)
        assert within == read.ready_within
