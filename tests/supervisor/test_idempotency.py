"""Launches with an idempotency-key: a retry launches nothing, whatever came of the first."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.errors import EngineRefused, EngineTimeout
from service.jobs.labels import KEY_LABEL, labels_of
from service.jobs.model import Kind
from service.state.idempotency import KEPT_SECONDS
from tests.supervisor.world import World, a_world, is_live, pass_time, until
from tests.support.samples import a_job


async def test_a_reaction_with_the_same_key_runs_once(world: World) -> None:
    for _ in range(3):
        await world.launch("m-1", "mail", key="k")
    assert 1 == len(world.running())
    assert {"launches": 1, "dedups": 2} == world.counted()
    assert ["k", "k"] == [event["idempotency_key"] for event in world.logged("launch.dedup")]


async def test_without_a_key_or_with_another_each_reaction_runs(world: World) -> None:
    for key in ("k", "", "", "k2"):
        await world.launch("m-1", "mail", key=key)
    assert 4 == len(world.running())


async def test_the_label_keeps_the_key(world: World) -> None:
    await world.launch("a-1", key="k")
    await world.launch("a-2")
    labels = [world.container(name).spec.labels for name in ("a-1", "a-2")]
    assert ["k", None] == [each.get(KEY_LABEL) for each in labels]


async def test_after_its_end_a_key_is_known_for_ten_minutes(world: World) -> None:
    await world.launch("m-1", "mail", key="k")
    (container,) = world.host.live
    world.host.exit(container.id, 0)
    await until(lambda: not world.states())
    await pass_time(KEPT_SECONDS - 60)
    await world.launch("m-1", "mail", key="k")
    assert [] == world.running()
    await pass_time(61)
    await world.launch("m-1", "mail", key="k")
    assert 1 == len(world.running())
    assert {"launches": 2, "dedups": 1, "exits": 1} == world.counted()


@pytest.mark.parametrize("name", ["timer", "mail"])
async def test_what_was_killed_stays_killed_when_its_launch_is_tried_again(
    world: World, name: str
) -> None:
    await world.launch("x-1", name, key="k")
    await world.kill("x-1")
    await world.launch("x-1", name, key="k")
    assert [] == world.running()
    await world.launch("x-1", name, key="k2")
    assert 1 == len(world.running())


async def test_a_job_that_is_being_killed_is_not_launched_anew_by_a_retry(world: World) -> None:
    await world.launch("a-1", key="k")
    kill = world.killing("a-1")
    await until(lambda: {"a-1": "stopping"} == world.states())
    await world.launch("a-1", key="k")
    await kill
    assert [] == world.running()


@pytest.mark.parametrize("name", ["timer", "mail"])
async def test_a_launch_under_way_is_shared_with_those_who_have_its_key(
    world: World, name: str
) -> None:
    hold = world.engine.faults.hold("start")
    asked = [world.launching("x-1", name, key="k") for _ in range(5)]
    await pass_time(1)
    assert not any(each.done for each in asked)
    hold.release()
    assert [0] * 5 == [await each.answer() for each in asked]
    assert {"launches": 1, "dedups": 4} == world.counted()


async def test_a_launch_that_fails_fails_for_all_and_frees_its_key(world: World) -> None:
    hold = world.engine.faults.hold("start")
    asked = [world.launching("m-1", "mail", key="k") for _ in range(3)]
    await pass_time(1)
    hold.refuse(EngineRefused("no"))
    assert [502] * 3 == [await each.answer() for each in asked]
    assert [] == world.left()
    await world.launch("m-1", "mail", key="k")
    assert 1 == len(world.running())
    assert {"launches": 1, "failures": 1} == world.counted()


@pytest.mark.parametrize("turns", range(6))
async def test_a_launch_that_every_client_has_left_frees_its_key(turns: int) -> None:
    async with a_world(max_launches_under_way=1) as world:
        hold = world.engine.faults.hold("create")
        first = world.launching("a-1")
        await pass_time(1)
        left = world.launching("m-1", "mail", key="k")
        await pass_time(1)
        left.hang_up()
        for _ in range(turns):  # of the loop: its launch is about to be, is being or has been ended
            await asyncio.sleep(0)
        retry = world.launching("m-1", "mail", key="k")
        hold.release()
        assert [0, 0] == [await first.answer(), await retry.answer()]
        assert 2 == len(world.running())


async def test_the_key_of_another_identifier_or_job_is_a_400(world: World) -> None:
    await world.launch("m-1", "mail", key="k")
    assert 400 == await world.launching("m-2", "mail", key="k").answer()
    assert 400 == await world.launching("m-1", "timer", key="k").answer()
    assert 1 == len(world.running())
    told = [event["error"] for event in world.logged("request.failed")]
    assert all(each.startswith("idempotency-key: ") for each in told)
    assert 2 == world.metric("supervisor_failures_total", reason="invalid")


async def test_a_retry_with_other_parameters_is_a_dedup_that_differs(world: World) -> None:
    await world.launch("m-1", "mail", key="k", to="a")
    await world.launch("m-1", "mail", key="k", to="b")
    (event,) = world.logged("launch.dedup")
    assert (True, "warning") == (event["differs"], event["log_level"])
    assert ["params.to"] == event["differing"]


async def test_a_dedup_by_key_does_not_wait_for_an_engine_that_is_away(world: World) -> None:
    await world.launch("m-1", "mail", key="k")
    world.engine.go_away()
    await until(lambda: not world.readiness.ready, within=5)
    await world.launch("m-1", "mail", key="k")
    assert {"launches": 1, "dedups": 1} == world.counted()


# Across a restart


@pytest.fixture
async def adopting() -> AsyncIterator[World]:
    """A supervisor that adopts, and has not started yet."""
    async with a_world(started=False, adopt=True) as made:
        yield made


def _inherited(world: World, *, started: bool = True) -> str:
    """The id of a reaction's container with the key k, which an earlier run has launched."""
    job = a_job("1" * 16, name="mail", identifier="m-1", kind=Kind.REACTION, idempotency_key="k")
    return world.put("m-1-x", dict(labels_of(job, "default")), started=started).id


async def _start(world: World) -> None:
    world.watch()
    await world.ready()


@pytest.mark.parametrize("ended", [False, True])
async def test_a_start_that_adopts_knows_the_keys(adopting: World, ended: bool) -> None:
    container_id = _inherited(adopting)
    if ended:
        adopting.host.exit(container_id, 0)
    await _start(adopting)
    await adopting.launch("m-1", "mail", key="k")
    assert (0 if ended else 1) == len(adopting.running())
    assert 1 == adopting.counted()["dedups"]
    assert 400 == await adopting.launching("m-2", "mail", key="k").answer()


async def test_development_knows_the_keys_of_what_it_keeps() -> None:
    async with a_world(started=False, adopt=True, keep=True) as development:
        development.host.exit(_inherited(development), 0)
        await _start(development)
        await development.launch("m-1", "mail", key="k")
        assert [] == development.running()


async def test_so_does_a_start_that_could_not_look(adopting: World) -> None:
    _inherited(adopting)
    adopting.faults.fail("inspect", EngineTimeout("late"), times=2)
    await _start(adopting)
    assert {} == adopting.states()
    await adopting.launch("m-1", "mail", key="k")
    assert ["m-1-x"] == adopting.running()


async def test_a_start_that_removes_forgets_the_keys(unstarted: World) -> None:
    _inherited(unstarted)
    await _start(unstarted)
    await unstarted.launch("m-1", "mail", key="k")
    assert {"launches": 1} == unstarted.counted()


async def test_what_was_not_started_when_its_supervisor_died_is_launched_by_the_retry(
    adopting: World,
) -> None:
    _inherited(adopting, started=False)
    await _start(adopting)
    assert [] == adopting.left()
    await adopting.launch("m-1", "mail", key="k")
    assert 1 == len(adopting.running())


async def test_what_was_set_aside_and_not_started_is_launched_by_the_retry(adopting: World) -> None:
    adopting.host.set_aside(_inherited(adopting, started=False))
    adopting.engine.faults.fail("remove", EngineTimeout("slow"))
    await _start(adopting)
    await adopting.launch("m-1", "mail", key="k")
    assert 1 == len(adopting.running())


async def test_a_start_that_its_supervisor_did_not_live_to_see_is_known(adopting: World) -> None:
    """The listing says that it was created only, and then the Engine starts it."""
    container_id = _inherited(adopting, started=False)
    hold = adopting.engine.faults.hold("remove")
    adopting.watch()
    await pass_time(1)
    adopting.host.start(container_id)
    hold.release()
    await adopting.ready()
    await adopting.launch("m-1", "mail", key="k")
    assert ["m-1-x"] == adopting.running()
    assert is_live(adopting.container("m-1-x"))
