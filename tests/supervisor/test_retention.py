"""Development keeps exited containers, but neither too many nor for too long."""

import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.fake_engine.host import Container
from tests.supervisor.test_leftovers import unheard
from tests.supervisor.world import World, a_world, pass_time, refuse_removal, until

# "Within a minute": a comparison each 30 s.
MINUTE = 60.0
HOUR = 3600.0


async def _ended(world: World, *identifiers: str) -> Sequence[Container]:
    """Containers of jobs that have ended one after the other."""
    ended = []
    for identifier in identifiers:
        await world.launch(identifier, exit=1)
        ended.append(world.container(f"{identifier}-1"))
        await until(lambda: identifier not in world.states())  # noqa: B023 - at once
    return ended


def _exited_before(container: Container, hours: float) -> None:
    container.ended_at = time.time() - hours * HOUR


async def test_the_oldest_past_the_number_are_removed() -> None:
    async with a_world(keep=True, retain_exited_count=2) as world:
        await _ended(world, "aa", "bb", "cc", "dd")
        await world.launch("runs")
        await until(lambda: world.left() == ["cc-1", "dd-1", "runs-1"], within=MINUTE)
        removed = world.logged("retention.removed")
        assert ["aa-1", "bb-1"] == sorted(event["container_name"] for event in removed)
        assert {"count"} == {event["limit"] for event in removed}
        assert 2 == world.metric("supervisor_retention_removed_total", limit="count")
        await pass_time(MINUTE)
        assert ["cc-1", "dd-1", "runs-1"] == world.left()


async def test_the_age_counts_from_the_exit_and_not_from_the_start() -> None:
    async with a_world(keep=True) as world:
        old, young, long = await _ended(world, "old", "young", "long")
        for container in (old, long):
            container.created_at -= 30 * HOUR
        _exited_before(old, 25)
        _exited_before(young, 23)
        _exited_before(long, 23)
        await until(lambda: world.left() == ["long-1", "young-1"], within=MINUTE)
        assert 1 == world.metric("supervisor_retention_removed_total", limit="hours")
        await pass_time(MINUTE)
        assert ["long-1", "young-1"] == world.left()


async def test_an_exit_is_looked_up_once_and_only_if_it_matters() -> None:
    async with a_world(keep=True, retain_exited_count=2) as world:
        await _ended(world, "aa", "bb")
        inspected = world.engine.calls["inspect"]
        await pass_time(2 * MINUTE)
        assert inspected == world.engine.calls["inspect"]
        for container in world.host.containers:
            container.created_at -= 30 * HOUR  # it may have exited long ago
        await pass_time(2 * MINUTE)
        assert inspected + 2 == world.engine.calls["inspect"]
        assert ["aa-1", "bb-1"] == world.left()


@pytest.mark.parametrize("limits", [{"retain_exited_count": 0}, {"retain_exited_hours": 0}])
async def test_zero_keeps_none(limits: dict[str, Any]) -> None:
    async with a_world(keep=True, **limits) as world:
        await _ended(world, "aa", "bb")
        await world.launch("runs")
        await until(lambda: world.left() == ["runs-1"], within=MINUTE)


async def test_the_age_of_what_was_started_again_counts_from_its_last_exit() -> None:
    async with a_world(keep=True, retain_exited_count=2) as world:
        oldest, *_ = await _ended(world, "aa", "bb", "cc", "dd")
        await until(lambda: world.left() == ["cc-1", "dd-1"], within=MINUTE)
        again = world.container("cc-1")
        with unheard(world):
            world.host.start(again.id)  # and it exits again
        await _ended(world, "ee")
        await until(lambda: world.left() == ["cc-1", "ee-1"], within=2 * MINUTE)
        assert oldest not in world.host.containers


async def test_what_is_a_job_again_is_not_removed() -> None:
    async with a_world(keep=True, retain_exited_count=0) as world:
        removal = world.faults.hold("remove")
        await world.launch("aa")
        container = world.container("aa-1")
        await world.kill("aa")
        await removal.reached()
        world.host.start(container.id)
        removal.release()
        await until(lambda: world.states() == {"aa": "running"})
        await pass_time(2 * MINUTE)
        assert ["aa-1"] == world.running()


async def test_what_cannot_be_removed_is_tried_again_later() -> None:
    async with a_world(keep=True, retain_exited_count=0) as world:
        refuse_removal(world)
        await _ended(world, "aa")
        await until(lambda: bool(world.logged("retention.failed")), within=MINUTE)
        assert ["aa-1"] == world.left()
        await until(lambda: world.left() == [], within=2 * MINUTE)
        assert 1 == len(world.logged("retention.failed"))
