"""Containers that belong to no job are removed in the background: no request waits for that."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from service.engine.workloads import Workload
from service.errors import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    NoSuchWorkload,
)
from service.jobs.labels import LAUNCH_LABEL, labels_of
from service.lifecycle.abandoned_launches import _MOST_REMEMBERED, AbandonedLaunches
from service.lifecycle.removal import Remover
from tests.fake_engine.faults import Hold
from tests.fake_engine.host import Container
from tests.supervisor.test_unanswered import Looks
from tests.supervisor.world import World, a_world, is_live, pass_time, until
from tests.support.samples import a_job

COMPARE = 30.0
# A gap, and the first listing after it.
SOON = 2.0


def now() -> float:
    return asyncio.get_running_loop().time()


def _labels(launch_id: str, identifier: str) -> Mapping[str, str]:
    return labels_of(a_job(launch_id, identifier=identifier), "default")


def _orphan(world: World, number: int) -> Container:
    """A container that was created, and that nobody has started."""
    labels = _labels(f"{number:016}", f"orphan-{number}")
    return world.put(f"orphan-{number}", dict(labels), started=False)


@contextmanager
def unheard(world: World) -> Iterator[None]:
    """No event tells of what happens meanwhile."""
    listeners = list(world.host.listeners)
    world.host.listeners.clear()
    yield
    world.host.listeners.extend(listeners)


async def _given_up_and_stuck(world: World) -> Container:
    """The container of a launch that took too long; the Engine does not answer about it."""
    start = world.faults.hold("start", after=True)
    launch = world.launching("given-up")
    await start.reached()
    container = world.container("given-up")
    world.engine.stuck.add(container.id)
    start.refuse(EngineTimeout("too long"))
    assert 504 == await launch.answer()
    await until(lambda: bool(world.logged("container.left_behind")), within=20)
    return container


async def _seconds_until_ready(world: World) -> float:
    """How long it takes after an absence of the Engine."""
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    world.engine.come_back()
    began = now()
    await world.ready()
    return now() - began


async def test_orphans_that_are_not_answered_about_hold_up_no_readiness(world: World) -> None:
    with unheard(world):
        for number in range(40):
            world.engine.stuck.add(_orphan(world, number).id)
    looks = Looks(world)
    assert await _seconds_until_ready(world) < SOON
    await world.launch("a-1")
    await pass_time(COMPARE)
    assert 0 < looks.most <= 4  # the other threads are for exits and kills
    world.engine.stuck.clear()
    await until(lambda: world.left() == ["a-1"], within=200)


async def test_what_a_launch_has_left_and_is_not_answered_about_holds_up_no_readiness(
    world: World,
) -> None:
    await _given_up_and_stuck(world)
    assert await _seconds_until_ready(world) < SOON
    world.engine.stuck.clear()
    await until(lambda: world.left() == [], within=2 * COMPARE)


async def test_one_container_too_many_that_ignores_sigterm_holds_up_no_start() -> None:
    async with a_world(started=False, adopt=True) as world:
        older = world.put("a-1-old", dict(_labels("1" * 16, "a-1")))
        newer = world.put("a-1", dict(_labels("2" * 16, "a-1")))
        older.created_at -= 10
        stop = world.faults.hold("stop")
        began = now()
        world.watch()
        await world.ready()
        assert now() - began < SOON
        await stop.reached()
        stop.release()
        await until(lambda: [newer] == world.host.live)
        assert {"a-1": "running"} == world.states()


async def test_an_ended_container_that_cannot_be_removed_holds_up_no_start() -> None:
    async with a_world(started=False, adopt=True) as world:
        container = world.put("a-1", dict(_labels("1" * 16, "a-1")))
        world.host.exit(container.id, 1)
        removal = world.faults.hold("remove")
        began = now()
        world.watch()
        await world.ready()
        assert now() - began < 4  # a comparison waits three seconds for its inspections
        assert {} == world.listed()
        removal.release()
        await until(lambda: world.left() == [], within=COMPARE)
        assert 1 == len(world.logged("job.exited"))


async def test_a_stop_waits_for_the_removal_of_what_a_comparison_has_found(world: World) -> None:
    """A later start with `adopt` would take it for a job."""
    await _given_up_and_stuck(world)
    tries = world.engine.calls["remove"]
    await until(lambda: tries < world.engine.calls["remove"], within=2 * COMPARE)
    world.readiness.drain()
    finish = asyncio.create_task(world.supervisor.finish())
    await pass_time(1)
    assert not finish.done()
    world.engine.stuck.clear()
    await finish
    assert [] == world.left()


async def test_an_orphan_is_inspected_again_only_when_its_removal_is_due(world: World) -> None:
    _orphan(world, 1)
    await until(lambda: bool(world.logged("orphan.found")), within=2 * COMPARE)
    inspected = world.engine.calls["inspect"]
    await pass_time(COMPARE + 5)  # one more comparison
    assert inspected == world.engine.calls["inspect"]
    assert 1 == world.metric("supervisor_orphans")
    await until(lambda: world.left() == [], within=2 * COMPARE)


# Beside a launch


async def _start_by_hand_during_a_launch(world: World) -> tuple[Container, Any, Any]:
    """In development: after the launch has looked whether a container of its identifier runs."""
    await world.launch("a-1")
    await world.kill("a-1")
    older = world.container("a-1-1")
    create = world.faults.hold("create")
    launch = world.launching("a-1")
    await create.reached()
    world.host.start(older.id)
    await pass_time(1)
    return older, launch, create


async def test_what_is_started_by_hand_beside_a_launch_is_stopped_soon(development: World) -> None:
    world = development
    older, launch, create = await _start_by_hand_during_a_launch(world)
    create.release()
    assert 0 == await launch.answer()
    await until(lambda: not is_live(older))
    assert ["a-1-2"] == world.running()
    assert {"a-1": "running"} == world.states()
    assert 1 == len(world.logged("job.surplus"))


async def test_what_is_started_by_hand_beside_a_launch_that_fails_is_the_job(
    development: World,
) -> None:
    world = development
    older, launch, create = await _start_by_hand_during_a_launch(world)
    create.refuse(EngineRefused("cannot"))
    assert 502 == await launch.answer()
    await until(lambda: world.states() == {"a-1": "running"})
    assert [older] == world.host.live
    await pass_time()
    world.host.exit(older.id, 1)
    await until(lambda: world.states() == {})


async def test_what_is_started_by_hand_beside_a_job_that_a_launch_waits_for_is_stopped(
    development: World,
) -> None:
    world = development
    await world.launch("a-1")
    older = world.container("a-1-1")
    world.host.exit(older.id, 1)
    await until(lambda: world.states() == {})
    await world.launch("a-1")
    stop = world.faults.hold("stop")
    kill = world.killing("a-1")
    await stop.reached()
    launch = world.launching("a-1")
    world.host.start(older.id)
    await until(lambda: not is_live(older))
    assert (["a-1-2"], False) == (world.running(), launch.done)
    stop.release()
    assert (0, 0) == (await kill.answer(), await launch.answer())
    assert ["a-1-3"] == world.running()


async def test_what_was_a_job_during_a_look_at_it_is_none_again(development: World) -> None:
    world = development
    await world.launch("a-1")
    await world.kill("a-1")
    look = world.faults.hold("inspect", after=True)
    world.host.start(world.container("a-1-1").id)
    await look.reached()
    await world.launch("a-1")
    await world.kill("a-1")
    look.release()
    await pass_time()
    assert (1, 2) == (len(world.logged("job.adopted")), len(world.logged("job.exited")))
    assert {} == world.states()


async def _stop_of_the_older_one(world: World) -> tuple[Container, Hold]:
    """In development: its stop hangs, and the job of its identifier has ended."""
    older, launch, create = await _start_by_hand_during_a_launch(world)
    stop = world.faults.hold("stop")
    create.release()
    assert 0 == await launch.answer()
    await stop.reached()
    world.host.exit(world.container("a-1-2").id, 1)
    await until(lambda: world.states() == {})
    return older, stop


async def test_a_launch_waits_for_the_stop_of_a_surplus_container(development: World) -> None:
    world = development
    older, stop = await _stop_of_the_older_one(world)
    launch = world.launching("a-1")
    await pass_time()
    assert not launch.done
    stop.release()
    assert 0 == await launch.answer()
    assert not is_live(older)
    assert ["a-1-3"] == world.running()
    assert [] == world.logged("job.adopted")


async def test_a_launch_waits_for_the_stop_of_a_surplus_container_that_holds_its_name() -> None:
    async with a_world(started=False, adopt=True) as world:
        older = world.put("a-1", dict(_labels("1" * 16, "a-1")))
        newer = world.put("a-1-new", dict(_labels("2" * 16, "a-1")))
        older.created_at -= 10
        stop = world.faults.hold("stop")
        world.watch()
        await stop.reached()
        await world.ready()
        world.host.exit(newer.id, 1)
        await until(lambda: world.states() == {})
        launch = world.launching("a-1")
        await pass_time()
        assert not launch.done
        stop.release()
        assert 0 == await launch.answer()
        assert older not in world.host.containers
        assert ["a-1"] == world.running()


async def test_a_surplus_container_is_not_adopted_while_it_is_stopped(development: World) -> None:
    world = development
    _, stop = await _stop_of_the_older_one(world)
    world.engine.disconnect()  # so that a comparison finds it
    await pass_time()
    assert {} == world.states()
    stop.release()
    await until(lambda: world.running() == [])
    assert [] == world.logged("job.adopted")


async def test_nor_is_one_that_has_just_ended_by_that_stop() -> None:
    async with a_world(started=False, adopt=True) as world:
        older = world.put("a-1-old", dict(_labels("1" * 16, "a-1")))
        world.put("a-1", dict(_labels("2" * 16, "a-1")))
        older.created_at -= 10
        stop, removal = world.faults.hold("stop"), world.faults.hold("remove")
        world.watch()
        await stop.reached()
        await world.ready()
        world.engine.disconnect()
        listing = world.faults.hold("list", after=True)
        await listing.reached()  # which has it running
        stop.release()
        await removal.reached()
        listing.release()
        await pass_time(1)
        removal.release()
        await until(lambda: ["a-1"] == world.left())
        assert [] == world.logged("job.exited")
        assert 1 == world.metric("supervisor_adoptions_total")


async def test_a_surplus_container_that_cannot_be_stopped_is_adopted_by_a_launch(
    development: World,
) -> None:
    world = development
    older, stop = await _stop_of_the_older_one(world)
    launch = world.launching("a-1")
    await pass_time()
    stop.refuse(EngineRefused("cannot"))
    assert 0 == await launch.answer()
    assert [older] == world.host.live
    assert {"a-1": "running"} == world.states()


async def test_what_a_failed_try_has_left_is_removed_though_its_launch_has_a_job(
    world: World,
) -> None:
    start = world.faults.hold("start")
    launch = world.launching("a-1")
    await start.reached()
    world.host.rename(world.container("a-1").id, "renamed")
    world.faults.fail("list", EngineTimeout("too long"))  # or it would be found at once
    start.refuse(EngineFailed("500"))
    assert 0 == await launch.answer()
    assert ["a-1", "renamed"] == world.left()
    await until(lambda: ["a-1"] == world.left(), within=60 + 2 * COMPARE)
    assert {"a-1": "running"} == world.states()
    assert ["renamed"] == [event["container_name"] for event in world.logged("orphan.found")]


async def _launch_beside_a_failed_try(world: World) -> Container:
    """What a try has started though it failed, and a third party has renamed since."""
    start = world.faults.hold("start", after=True)
    launch = world.launching("a-1")
    await start.reached()
    [container] = world.host.containers
    world.host.rename(container.id, "renamed")
    start.refuse(EngineFailed("500"))
    assert 0 == await launch.answer()
    return container


async def test_what_a_failed_try_has_started_does_not_run_beside_its_job(world: World) -> None:
    world.faults.fail("list", EngineFailed("500"))
    await _launch_beside_a_failed_try(world)
    await until(lambda: 1 == len(world.logged("container.discarded")))
    assert ["a-1"] == world.left()
    assert {"a-1": "running"} == world.states()


async def test_a_kill_waits_for_the_removal_of_what_a_failed_try_has_started(world: World) -> None:
    listing = world.faults.hold("list")
    await _launch_beside_a_failed_try(world)
    kill = world.killing("a-1")
    await until(lambda: {} == world.states())
    await pass_time()
    assert not kill.done
    listing.release()
    assert 0 == await kill.answer()
    assert [] == world.left()


async def test_what_a_failed_try_has_started_stays_if_it_is_the_job_by_now(world: World) -> None:
    listing = world.faults.hold("list", after=True)
    renamed = await _launch_beside_a_failed_try(world)
    await listing.reached()
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: {} == world.states())
    world.engine.disconnect()  # so that a comparison finds it
    await until(lambda: {"a-1": "running"} == world.states())
    listing.release()
    await pass_time()
    assert [renamed] == world.host.live


async def test_but_is_no_job_while_it_is_removed(development: World) -> None:
    world = development
    removal = world.faults.hold("remove")
    await _launch_beside_a_failed_try(world)
    await removal.reached()
    world.host.exit(world.container("a-1-1").id, 1)
    await until(lambda: {} == world.states())
    world.engine.disconnect()
    await pass_time()
    launch = world.launching("a-1")
    await pass_time()
    assert not launch.done
    removal.release()
    assert 0 == await launch.answer()
    assert ["a-1-2"] == world.running()
    assert [] == world.logged("job.adopted")


# Files with credentials whose container is gone


async def test_the_engine_lists_only_what_a_launch_that_was_given_up_has_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an outage there are many such launches, and each would list all containers."""
    asked, find = list[Mapping[str, str]](), world.engine.find

    async def noting(labels: Mapping[str, str]) -> Sequence[Workload]:
        asked.append(labels)
        return await find(labels)

    world.put("stranger")
    monkeypatch.setattr(world.engine, "find", noting)
    world.faults.fail("start", EngineTimeout("too long"), after=True)
    assert 504 == await world.launching("a-1").answer()
    await until(lambda: ["stranger"] == world.left())
    [given_up] = world.logged("launch.abandoned")
    assert [{LAUNCH_LABEL: given_up["launch_id"]}] == asked


async def test_thousands_of_launches_that_were_given_up_slow_nothing_down(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each container that is no job's is looked for among them, at each comparison."""
    many = _MOST_REMEMBERED + 1
    given_up = AbandonedLaunches(
        world.engine, Remover(world.engine), world.registry, world.background
    )
    monkeypatch.setattr(given_up, "_spawn", lambda *_: None)
    for number in range(many):
        given_up.add(_labels(str(number), "a-1"), "a-1")
    began = time.process_time()
    assert [] == [number for number in range(many, 2 * many) if str(number) in given_up]
    assert time.process_time() - began < 0.5  # seconds: it takes a hundredth of that
    assert ("0" in given_up, "1" in given_up, str(many - 1) in given_up) == (False, True, True)


async def test_thousands_of_removals_under_way_slow_no_kill_down(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kill waits for those of its own launch."""
    many = 5000
    monkeypatch.setattr(world.background, "spawn_once", lambda *_: asyncio.Future[None]())
    given_up = AbandonedLaunches(
        world.engine, Remover(world.engine), world.registry, world.background
    )
    for number in range(many):
        given_up.remove(str(number), _labels(str(number), "a-1"))
    began = time.process_time()
    for number in range(many, 2 * many):
        await given_up.wait(str(number))
    assert time.process_time() - began < 0.2  # seconds: it takes a hundredth of that


class _Sweeps:
    """What an engine is asked to sweep, and answers."""

    def __init__(self, world: World, *answers: int | Exception) -> None:
        self.graces: list[float] = []
        self._answers = list(answers)
        world.engine.capabilities = replace(world.engine.capabilities, sweep_files=self._sweep)

    async def _sweep(self, *, grace: float) -> int:
        self.graces.append(grace)
        answer = self._answers.pop(0) if self._answers else 0
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_files_that_are_left_are_looked_for_with_each_comparison(world: World) -> None:
    sweeps = _Sweeps(world, 2, 0)
    await pass_time(2 * COMPARE + SOON)
    assert [60.0, 60.0] == sweeps.graces
    assert [2] == [event["files"] for event in world.logged("credentials.removed")]


@pytest.mark.parametrize("error", [EngineFailed, EngineTimeout, NoSuchWorkload])
async def test_an_engine_that_does_not_remove_them_is_told_and_asked_again(
    world: World, error: type[EngineError]
) -> None:
    _Sweeps(world, error("device busy"), 1)
    await pass_time(2 * COMPARE + SOON)
    assert ["device busy"] == [event["error"] for event in world.logged("credentials.left_behind")]
    assert [1] == [event["files"] for event in world.logged("credentials.removed")]


async def test_a_dry_run_removes_no_files() -> None:
    async with a_world(orphan_dry_run=True) as world:
        sweeps = _Sweeps(world)
        await pass_time(COMPARE + SOON)
        assert [] == sweeps.graces
