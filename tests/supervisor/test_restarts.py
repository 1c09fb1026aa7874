"""Jobs that are started again after their end: how often, when, and what a crash leaves."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from service.engine.events import Event
from service.engine.workloads import Status, Workload
from service.errors import EngineRefused, EngineTimeout, EngineUnavailable, ImageMissing
from service.jobs.catalog import Catalog
from service.jobs.catalog_keys import Entry
from service.jobs.labels import LAUNCH_LABEL, labels_of, restart_labels, restarts_in
from service.jobs.restart_policy import RestartPolicy, Restarts
from tests.fake_engine.host import Container
from tests.supervisor.world import (
    IMAGE,
    World,
    a_world,
    is_live,
    pass_time,
    refuse_removal,
    two_worlds,
    until,
)
from tests.support.samples import a_job

# That of the job "again", but for its waits.
POLICY = RestartPolicy("end", 5, 600.0, 1.0, 300.0)


def end(world: World, code: int = 1, identifier: str = "a-1") -> Container:
    container = world.container(identifier)
    world.host.exit(container.id, code)
    return container


async def runs_again(world: World, identifier: str = "a-1", *, within: float = 600.0) -> Container:
    def alone() -> bool:
        names = [c.spec.name for c in world.host.containers if is_live(c)]
        own = [name for name in names if name.startswith(identifier)]
        return len(own) == 1 and world.states().get(identifier) == "running"

    await until(alone, within=within)
    await pass_time(0.5)
    return next(c for c in world.host.live if c.spec.name.startswith(identifier))


async def ends_for_good(world: World, *, code: int, times: int) -> None:
    for _ in range(times):
        end(world, code)
        await runs_again(world)
    end(world, code)
    await until(lambda: not world.states())


@pytest.fixture
def ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for its restart waits for ten minutes, and not for a random time."""
    chance = SimpleNamespace(uniform=lambda *_: 600.0)
    monkeypatch.setattr("service.jobs.restarts.random", chance)


async def test_a_successor_that_ends_before_the_engine_tells_of_it_is_not_lost(
    world: World,
) -> None:
    """Docker may tell of an exit some time after an inspection does."""
    (publish,), loop = world.host.listeners, asyncio.get_running_loop()

    def publish_later(event: Event) -> None:
        loop.call_later(0.3, publish, event)

    world.host.listeners[:] = [publish_later]
    await world.launch("a-1", "carefully again", exit="5")
    await until(lambda: not world.states(), within=600)
    assert {"error": 1} == world.outcomes("supervisor_exits_total")
    assert ["error"] * 2 == [each["outcome"] for each in world.logged("job.backing_off")]


async def test_what_has_ended_is_started_again_under_its_name(world: World) -> None:
    await world.launch("a-1", "again", say="hello")
    old = end(world, 0)
    await until(lambda: world.listed() == {"a-1": "backing_off"})
    new = await runs_again(world)
    assert old.id != new.id
    assert old.spec.arguments == new.spec.arguments
    assert old.spec.labels.items() < new.spec.labels.items()
    told = restarts_in(new.spec.labels)
    assert (1, 1, 1) == (told.total, told.in_window, told.in_a_row)
    assert pytest.approx(old.ended_at, abs=0.01) == told.window_began
    assert ["a-1"] == world.left()
    assert {"launches": 1} == world.counted()
    assert 1 == world.metric("supervisor_restarts_total", job_name="again")
    assert 1 == world.metric("supervisor_jobs_running", job_name="again")


async def test_a_back_off_is_told_once_with_what_has_led_to_it(world: World) -> None:
    await world.launch("a-1", "again", say="last words")
    end(world, 3)
    await runs_again(world)
    (told,) = world.logged("job.backing_off")
    assert ("error", 3, 1, 1) == tuple(
        told[key] for key in ("outcome", "exit_code", "attempt", "restarts")
    )
    assert "last words" in told["output"]
    assert 0 <= told["wait"] <= 1
    (restarted,) = world.logged("job.restarted")
    assert (1, 1) == (restarted["attempt"], restarted["restarts"])
    assert [] == world.logged("job.exited")


async def test_while_it_waits_a_launch_is_a_dedup(world: World) -> None:
    await world.launch("a-1", "patiently again")
    end(world)
    await until(lambda: world.listed() == {"a-1": "backing_off"})
    assert 1 == world.metric("supervisor_jobs", state="backing_off")
    assert 0 == world.metric("supervisor_jobs_running")
    await world.launch("a-1", "patiently again")
    assert 1 == world.metric("supervisor_dedups_total")
    assert 1 == world.metric("supervisor_launches_total")


async def test_a_launch_right_after_the_end_is_a_dedup_too(world: World) -> None:
    await world.launch("a-1", "patiently again")
    hold = world.faults.hold("inspect")
    end(world)
    await hold.reached()
    launch = world.launching("a-1", "patiently again")
    await pass_time()
    hold.release()
    await launch
    assert {"a-1": "backing_off"} == world.states()
    assert 1 == world.metric("supervisor_dedups_total")


@pytest.mark.usefixtures("ten_minutes")
async def test_a_kill_ends_the_waiting_at_once(world: World) -> None:
    await world.launch("a-1", "patiently again")
    end(world, 137)
    await until(lambda: world.listed() == {"a-1": "backing_off"})
    began = asyncio.get_running_loop().time()
    await world.kill("a-1")
    assert asyncio.get_running_loop().time() - began < 1
    assert ([], {}) == (world.left(), world.states())
    assert {"killed": 1} == world.outcomes("supervisor_exits_total")
    assert {"stopped": 1} == world.outcomes("supervisor_kills_total")
    await pass_time(700)
    assert [] == world.left()


async def test_a_kill_of_all_ends_it_too(world: World) -> None:
    await world.launch("a-1", "patiently again")
    await world.launch("a-2")
    end(world)
    await until(lambda: world.listed() == {"a-1": "backing_off", "a-2": "running"})
    await world.killing_all()
    assert ([], {}) == (world.left(), world.states())


async def test_a_kill_right_after_the_end_comes_before_a_restart(world: World) -> None:
    await world.launch("a-1", "again")
    hold = world.faults.hold("inspect")
    end(world)
    await hold.reached()  # nobody has decided yet what follows
    kill = world.killing("a-1")
    await pass_time()
    hold.release()
    await kill
    assert ([], {}) == (world.left(), world.states())
    (exited,) = world.logged("job.exited")
    assert "error" == exited["outcome"]
    assert [] == world.logged("job.backing_off")


async def test_a_kill_that_fails_lets_it_go_on_waiting(world: World) -> None:
    await world.launch("a-1", "again")
    end(world)
    await until(lambda: world.listed() == {"a-1": "backing_off"})
    world.faults.fail("stop", EngineRefused("no"))
    with pytest.raises(EngineRefused):
        await world.kill("a-1")
    await runs_again(world)
    await world.kill("a-1")
    assert [] == world.left()


async def test_a_kill_while_the_successor_is_started_waits_for_it(world: World) -> None:
    await world.launch("a-1", "again")
    hold = world.faults.hold("start")
    end(world)
    await hold.reached()
    assert {"a-1": "starting"} == world.listed()
    kill = world.killing("a-1")
    await pass_time()
    assert not kill.done
    hold.release()
    await kill
    await pass_time(700)
    assert ([], {}) == (world.left(), world.states())
    assert {"killed": 1} == world.outcomes("supervisor_exits_total")


async def test_what_is_past_its_attempts_ends_with_its_last_outcome_told_once(world: World) -> None:
    await world.launch("a-1", "carefully again")
    await ends_for_good(world, code=3, times=2)
    assert [] == world.left()
    assert {"error": 1} == world.outcomes("supervisor_exits_total")
    (exited,) = world.logged("job.exited")
    assert ("error", 3, 2, "attempts") == tuple(
        exited[key] for key in ("outcome", "exit_code", "restarts", "not_restarted")
    )
    await world.launch("a-1", "carefully again")
    assert 2 == world.metric("supervisor_launches_total")


async def test_attempts_count_within_the_window(world: World) -> None:
    await world.launch("a-1", "carefully again")
    for _ in range(6):
        await pass_time(40)  # two a minute, and the window begins with an end
        end(world, 3)
        await runs_again(world)
    assert 6 == world.metric("supervisor_restarts_total")


@pytest.mark.parametrize(("code", "why"), [(0, "success"), (2, "exit_code"), (64, "exit_code")])
async def test_these_ends_of_a_job_that_restarts_are_final(
    world: World, code: int, why: str
) -> None:
    await world.launch("a-1", "carefully again")
    await ends_for_good(world, code=code, times=0)
    (exited,) = world.logged("job.exited")
    assert (0, why) == (exited["restarts"], exited["not_restarted"])
    assert 0 == world.metric("supervisor_restarts_total")


async def test_an_end_by_somebody_else_counts_like_any_other(world: World) -> None:
    await world.launch("a-1", "again")
    world.host.kill(world.container("a-1").id)
    assert is_live(await runs_again(world))


@pytest.mark.usefixtures("ten_minutes")
async def test_what_somebody_has_removed_while_it_waits_is_gone(world: World) -> None:
    await world.launch("a-1", "patiently again")
    old = end(world, 5)
    await until(lambda: world.listed() == {"a-1": "backing_off"})
    await world.host.remove(old.id)
    await until(lambda: not world.states())
    (exited,) = world.logged("job.exited")
    assert ("error", 5) == (exited["outcome"], exited["exit_code"])
    await pass_time(700)
    assert [] == world.left()


async def test_what_somebody_removes_during_its_last_restart_ends_with_its_last_outcome(
    world: World,
) -> None:
    await world.launch("a-1", "carefully again")
    end(world, 3)
    await runs_again(world)
    hold = world.faults.hold("rename")
    old = end(world, 5)
    await hold.reached()
    await world.host.remove(old.id)
    hold.release()
    await until(lambda: not world.states())
    (exited,) = world.logged("job.exited")
    assert ("error", 5) == (exited["outcome"], exited["exit_code"])


@pytest.mark.usefixtures("ten_minutes")
async def test_what_somebody_starts_while_it_waits_is_the_job(world: World) -> None:
    await world.launch("a-1", "patiently again")
    old = end(world)
    await until(lambda: world.listed() == {"a-1": "backing_off"})
    world.host.start(old.id)
    await until(lambda: world.listed() == {"a-1": "running"})
    await pass_time(700)
    assert [old.id] == [c.id for c in world.host.containers]


async def test_what_somebody_starts_beside_its_successor_is_stopped(world: World) -> None:
    await world.launch("a-1", "again")
    old = end(world)
    hold = world.faults.hold("create")
    await hold.reached()
    world.host.start(old.id)
    hold.release()
    new = await runs_again(world)
    assert old.id != new.id
    assert [new.id] == [c.id for c in world.host.containers]
    (told,) = world.logged("job.surplus")
    assert old.id == told["container_id"]


async def test_what_somebody_starts_beside_its_successor_later_is_stopped_too(world: World) -> None:
    await world.launch("a-1", "again")
    hold = world.faults.hold("remove")
    old = end(world)
    await hold.reached()
    new = await runs_again(world)
    world.host.start(old.id)
    await until(lambda: [new.id] == [c.id for c in world.host.containers])
    assert [old.id] == [told["container_id"] for told in world.logged("job.surplus")]
    hold.release()


async def test_a_kill_waits_for_what_is_stopped_beside_its_job(world: World) -> None:
    await world.launch("a-1", "again", stubborn="1")
    hold = world.faults.hold("remove")
    old = end(world)
    await hold.reached()
    new = await runs_again(world)
    world.host.start(old.id)
    await until(lambda: bool(world.logged("job.surplus")))
    kill = world.killing("a-1")
    await pass_time(0.1)
    world.host.exit(new.id, 0)
    await kill
    assert [] == world.left()
    hold.release()


async def test_a_connection_that_breaks_leaves_no_predecessor(world: World) -> None:
    await world.launch("a-1", "again")
    world.faults.fail("remove", EngineUnavailable("broken"))
    end(world)
    new = await runs_again(world)
    assert [new.id] == [c.id for c in world.host.containers]


async def test_a_predecessor_that_cannot_be_removed_is_logged_with_its_job(world: World) -> None:
    await world.launch("a-1", "again")
    hold = world.faults.hold("remove")
    old = end(world)
    await hold.reached()
    world.engine.stuck.add(old.id)
    hold.refuse(EngineTimeout("too long"))
    await until(lambda: bool(world.logged("container.left_behind")), within=20)
    [left] = world.logged("container.left_behind")
    named = {"job": "again", "identifier": "a-1", "container_id": old.id, "error": "too long"}
    assert named.items() <= left.items()
    world.engine.stuck.clear()


async def test_an_exited_predecessor_that_cannot_be_removed_is_not_called_live(
    world: World,
) -> None:
    await world.launch("a-1", "again")
    refuse_removal(world)
    old = end(world)
    await until(lambda: bool(world.logged("container.left_behind")), within=20)
    [left] = world.logged("container.left_behind")
    assert (old.id, "a-1") == (left["container_id"], left["identifier"])
    assert "device busy; nor can it be set aside: not permitted" == left["error"]
    assert [] == world.logged("job.surplus")


async def over_beside_its_first(world: World) -> Container:
    """The first container of a job that is over: it could not be removed."""
    await world.launch("a-1", "carefully again")
    for _ in range(2):  # after the restart, and at the end of the job
        refuse_removal(world)
    old = end(world, 3)
    await runs_again(world)
    await pass_time(5)
    end(world, 2)
    await until(lambda: not world.states())
    return old


async def nothing_begins_anew(world: World, *left: str) -> None:
    await pass_time(700)
    assert [*left] == world.left()
    assert 1 == world.metric("supervisor_restarts_total")
    assert 1 == len(world.logged("job.exited"))


async def test_what_was_replaced_is_no_job_again_once_its_own_is_over(world: World) -> None:
    old = await over_beside_its_first(world)
    world.host.start(old.id)
    world.host.exit(old.id, 3)
    await pass_time(1)
    assert {} == world.states()
    await nothing_begins_anew(world)


async def test_nor_if_a_listing_still_had_it_running(world: World) -> None:
    old = await over_beside_its_first(world)
    world.engine.disconnect()
    world.host.start(old.id)  # nobody hears of that
    listing = world.faults.hold("list", after=True)
    await listing.reached()
    world.host.exit(old.id, 3)
    listing.release()
    await pass_time(1)
    assert {} == world.states()
    await nothing_begins_anew(world)


async def test_nor_if_it_ends_while_a_launch_of_its_identifier_is_under_way(world: World) -> None:
    old = await over_beside_its_first(world)
    creation = world.faults.hold("create")
    launch = world.launching("a-1")
    await creation.reached()
    world.host.start(old.id)
    await pass_time(0.5)
    world.host.exit(old.id, 3)
    creation.release()
    await launch
    await pass_time(1)
    assert ["timer"] == [job.name for job in world.registry.jobs()]
    await nothing_begins_anew(world, "a-1")


@pytest.mark.parametrize("how", ["ends", "killed", "removed"])
async def test_what_is_over_leaves_nothing_that_looks_as_if_it_waited(
    world: World, how: str
) -> None:
    await world.launch("a-1", "carefully again")
    hold = world.faults.hold("remove")  # of the first container
    end(world, 3)
    await hold.reached()
    new = await runs_again(world)
    if how == "ends":
        end(world, 2)
    elif how == "killed":
        await world.kill("a-1")
    else:
        await world.host.remove(new.id, force=True)
    await until(lambda: not world.states())
    assert [] == world.left()
    hold.release()


async def test_what_is_told_while_that_is_removed_counts(world: World) -> None:
    await world.launch("a-1", "carefully again")
    end(world, 3)
    await runs_again(world)
    first = world.faults.hold("remove")
    end(world, 3)
    await first.reached()
    new = await runs_again(world)
    hold = world.faults.hold("remove")
    end(world, 137)
    await hold.reached()
    world.host.tell_out_of_memory(new.id)
    hold.release()
    await until(lambda: not world.states())
    assert ["oom"] == [each["outcome"] for each in world.logged("job.exited")]
    first.release()


async def test_one_that_cannot_be_removed_keeps_no_other(world: World) -> None:
    await world.launch("a-1", "carefully again")
    holds = []
    for _ in range(2):
        holds.append(world.faults.hold("remove"))
        end(world, 3)
        await holds[-1].reached()
        await runs_again(world)
    world.faults.fail("remove", EngineUnavailable("away"))
    end(world, 2)
    await until(lambda: not world.states())
    assert 1 == len(world.left())
    for hold in holds:
        hold.release()


async def test_a_restart_does_not_wait_for_the_removal_of_what_was_replaced(world: World) -> None:
    await world.launch("a-1", "again")
    holds = [world.faults.hold("remove")]
    end(world)
    await holds[0].reached()
    await runs_again(world)
    holds.append(world.faults.hold("remove"))
    listings = world.faults.hold("list")
    end(world)
    await until(lambda: 2 == len(world.logged("job.backing_off")))
    assert world.listed() == {"a-1": "backing_off"}
    for hold in (*holds, listings):
        hold.release()


async def test_a_launch_leaves_alone_what_waits_under_its_name(world: World) -> None:
    await world.launch("a-1", "patiently again")
    old = end(world)
    await until(lambda: world.listed() == {"a-1": "backing_off"})
    world.host.rename(old.id, "a-2")
    assert 409 == await world.launching("a-2").answer()
    assert ({"a-1": "backing_off"}, ["a-2"]) == (world.states(), world.left())
    await world.kill("a-1")
    await world.launch("a-2")
    assert {"a-2": "running"} == world.states()


async def test_nor_does_it_touch_what_is_being_started_again(world: World) -> None:
    await world.launch("a-1", "again")
    old = end(world)
    hold = world.faults.hold("rename")
    await hold.reached()
    world.host.rename(old.id, "a-2")
    assert 409 == await world.launching("a-2").answer()
    hold.release()
    await until(lambda: bool(world.logged("job.restarted")))
    assert {"a-1": "running"} == world.states()
    assert old.id not in [container.id for container in world.host.live]


async def test_a_launch_waits_for_the_kill_of_what_is_to_be_started_again(world: World) -> None:
    await world.launch("a-1", "patiently again")
    end(world)
    await until(lambda: world.listed() == {"a-1": "backing_off"})
    hold = world.faults.hold("remove")
    kill = world.killing("a-1")
    await hold.reached()
    launch = world.launching("a-1")
    await pass_time()
    assert not launch.done
    hold.release()
    assert (0, 0) == (await kill.answer(), await launch.answer())
    assert ["a-1"] == world.running()


async def test_what_somebody_starts_before_its_successor_is_made_is_the_job(world: World) -> None:
    await world.launch("a-1", "again")
    old = end(world)
    hold = world.faults.hold("rename")
    await hold.reached()
    world.host.start(old.id)
    hold.release()
    await until(lambda: world.listed() == {"a-1": "running"})
    await pass_time(700)
    assert [old.id] == [c.id for c in world.host.containers]
    assert {"a-1": "running"} == world.states()


async def unanswered(world: World) -> Container:
    """A job that backs off, though the successor of this one runs: the engine has not told."""
    await world.launch("a-1", "again")
    old = end(world)
    world.faults.fail("start", EngineTimeout("slow"), after=True)
    await until(lambda: bool(world.logged("restart.failed")), within=60)
    assert (["a-1"], {"a-1": "backing_off"}) == (world.running(), world.states())
    return old


async def test_what_somebody_starts_beside_a_successor_without_an_answer_is_stopped(
    world: World,
) -> None:
    old = await unanswered(world)
    world.host.start(old.id)
    await until(lambda: [old.id] == [told["container_id"] for told in world.logged("job.surplus")])
    new = await runs_again(world)
    assert old.id != new.id
    assert [new.id] == [c.id for c in world.host.containers]
    assert 1 == world.metric("supervisor_restarts_total")
    assert 1 == world.metric("supervisor_jobs_running")
    await world.kill("a-1")
    assert [] == world.left()


async def test_what_somebody_starts_gives_way_to_a_successor_that_the_engine_is_late_with(
    world: World,
) -> None:
    await world.launch("a-1", "again")
    old = end(world)
    world.faults.fail("create", EngineTimeout("slow"))
    await until(lambda: bool(world.logged("restart.failed")), within=60)
    world.host.start(old.id)
    await until(lambda: world.states() == {"a-1": "running"})
    await pass_time(40)
    labels = {**old.spec.labels, **restart_labels(Restarts(1, 1, time.time(), 1))}
    new = world.host.create(replace(old.spec, name="a-1", labels=labels))
    world.host.start(new.id)
    await until(lambda: [new.id] == [c.id for c in world.host.containers], within=60)
    assert {"a-1": "running"} == world.states()
    assert 1 == len(world.logged("job.surplus"))


async def test_what_somebody_starts_and_what_ends_again_leaves_the_successor(world: World) -> None:
    old = await unanswered(world)
    look = world.faults.hold("list")
    world.host.start(old.id)
    await look.reached()
    world.host.exit(old.id, 1)
    new = await runs_again(world)
    look.release()
    await pass_time(100)
    assert old.id != new.id
    assert [new.id] == [c.id for c in world.host.containers]
    assert {"a-1": "running"} == world.states()


async def test_an_engine_that_was_away_has_it_started_again(world: World) -> None:
    await world.launch("a-1", "again")
    await world.launch("a-2", "carefully again")
    world.engine.go_away()
    end(world, 0)
    end(world, 143, "a-2")
    await pass_time(3)
    world.engine.come_back()
    await world.ready()
    await runs_again(world)
    await runs_again(world, "a-2")
    outcomes = {told["outcome"] for told in world.logged("job.backing_off")}
    assert {"lost"} == outcomes
    assert ["a-1", "a-2"] == world.left()


async def test_no_comparison_sweeps_what_waits(world: World) -> None:
    await world.launch("a-1", "patiently again")
    end(world)
    await until(lambda: world.listed() == {"a-1": "backing_off"})
    await pass_time(300)
    assert {"a-1": "backing_off"} == world.listed()
    assert [] == world.logged("orphan.found")
    assert ["a-1"] == world.left()
    world.engine.disconnect()
    await pass_time(300)
    assert {"a-1": "backing_off"} == world.listed()


@pytest.mark.parametrize("operation", ["inspect", "rename", "create", "start", "list"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [EngineTimeout("slow"), EngineUnavailable("gone")])
async def test_a_restart_whose_answer_is_lost_is_made_good(
    world: World, operation: Any, after: bool, error: Any
) -> None:
    await world.launch("a-1", "again")
    old = world.container("a-1")
    end(world)
    await until(lambda: world.listed() == {"a-1": "backing_off"})
    world.faults.fail(operation, error, after=after)
    new = await runs_again(world)
    assert old.id != new.id
    await pass_time(100)
    assert [new.id] == [c.id for c in world.host.containers]
    assert 1 == world.metric("supervisor_restarts_total")
    assert {"launches": 1} == world.counted()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("by", ["a kill", "a kill of all", "somebody's hand"])
async def test_what_ends_between_two_tries_leaves_no_successor(
    world: World, by: str, late: bool
) -> None:
    """The engine may have made it although it did not answer, or does so yet."""
    await world.launch("a-1", "again")
    old = end(world)
    await until(lambda: world.listed() == {"a-1": "backing_off"})
    hold = world.faults.hold("start")
    await hold.reached()
    await until(lambda: bool(world.logged("restart.failed")), within=60)
    if not late:
        hold.release()
        await until(lambda: world.running() == ["a-1"])
    assert {"a-1": "backing_off"} == world.states()
    if by == "a kill":
        await world.kill("a-1")
    elif by == "a kill of all":
        await world.killing_all()
    else:
        await world.host.remove(old.id)
        await until(lambda: not world.states())
    assert by == "somebody's hand" or late or world.left() == []
    hold.release()
    await until(lambda: not world.left())
    await pass_time(300)
    assert ([], {}) == (world.left(), world.states())


async def test_a_launch_after_such_a_kill_is_a_new_job(world: World) -> None:
    await world.launch("a-1", "again", say="old")
    end(world)
    world.faults.fail("start", EngineTimeout("slow"), after=True)
    await until(lambda: bool(world.logged("restart.failed")), within=60)
    await world.kill("a-1")
    await world.launch("a-1", "again", say="new")
    await pass_time(300)
    assert "new" in world.container("a-1").spec.arguments
    assert {"a-1": "running"} == world.states()


async def test_an_engine_that_refuses_is_given_up_and_the_last_outcome_told(world: World) -> None:
    await world.launch("a-1", "carefully again")
    world.faults.fail("create", ImageMissing("no such image"), times=99)
    end(world, 3)
    await until(lambda: not world.states(), within=600)
    assert [] == world.left()
    (exited,) = world.logged("job.exited")
    assert ("error", 3, "refused") == tuple(
        exited[key] for key in ("outcome", "exit_code", "not_restarted")
    )
    assert 2 == len(world.logged("restart.failed"))
    assert 0 == world.metric("supervisor_restarts_total")


async def test_what_an_engine_quotes_when_it_refuses_shows_no_secret_of_the_catalogue() -> None:
    log = {"driver": "splunk", "options": {"splunk-token": "token-31337"}}
    keys = {"environment": {"A": "value-4711"}, "log": log, "network": "value-4711.token-31337"}
    job = Entry.model_validate({"kind": "action", "image": IMAGE, "restart": {}} | keys)
    async with a_world(catalog=Catalog({"again": job})) as world:
        world.host.networks.add("value-4711.token-31337")
        await world.launch("a-1", "again")
        world.host.networks.clear()
        end(world)
        await until(lambda: bool(world.logged("restart.failed")), within=60)
        told = world.logged("restart.failed")[0]["error"]
        assert "network [redacted].[redacted] not found" == told


async def test_a_restart_takes_a_slot_and_is_never_refused() -> None:
    async with a_world(max_launches_under_way=1, max_launches_waiting=0) as world:
        await world.launch("a-1", "again")
        hold = world.faults.hold("create")
        launch = world.launching("b-1")
        await hold.reached()
        end(world)
        await pass_time(10)
        assert {"a-1": "backing_off", "b-1": "starting"} == world.listed()
        hold.release()
        await launch
        await runs_again(world)
        assert 0 == world.metric("supervisor_launches_in_progress", state="waiting")
        assert 0 == world.metric("supervisor_launches_in_progress", state="under_way")


async def test_development_keeps_nothing_that_is_started_again(development: World) -> None:
    world = development
    await world.launch("a-1", "carefully again")
    old = world.container("a-1-1")
    world.host.exit(old.id, 3)
    new = await runs_again(world, "a-1")
    assert new.id != old.id
    assert ["a-1-1"] == world.left()
    for _ in range(2):
        world.host.exit(world.container("a-1-1").id, 3)
        await pass_time(10)
    assert ([], {}) == (world.left(), world.states())


# What an earlier run has left


@pytest.fixture(autouse=True)
def longest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each back-off is as long as it may be."""
    monkeypatch.setattr(random, "uniform", lambda _, most: most)


@pytest.fixture(params=[True, False], ids=["development", "production"])
async def adopting(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with a_world(started=False, adopt=True, keep=request.param) as made:
        yield made


def left_behind(world: World, name: str = "a-1", restarts: Restarts | None = None) -> Container:
    """A running container of a job that restarts."""
    labels = labels_of(a_job(identifier="a-1", name="again", restart=POLICY), "default")
    more = restart_labels(restarts) if restarts else {}
    return world.put(name, {**labels, **more})


async def begin(world: World) -> None:
    world.watch()
    await world.ready()


async def test_what_has_ended_while_nobody_was_there_is_started_again(adopting: World) -> None:
    restarts = Restarts(3, 2, time.time() - 60, 2)
    old = left_behind(adopting, restarts=restarts)
    adopting.host.exit(old.id, 0)
    await begin(adopting)
    new = await runs_again(adopting)
    assert old.id != new.id
    assert [new.id] == [c.id for c in adopting.host.containers]
    told = restarts_in(new.spec.labels)
    assert (4, 3, 3) == (told.total, told.in_window, told.in_a_row)
    assert pytest.approx(restarts.window_began, abs=0.01) == told.window_began
    assert 1 == adopting.metric("supervisor_restarts_total")


async def test_its_attempts_are_known_too(adopting: World) -> None:
    old = left_behind(adopting, restarts=Restarts(5, 5, time.time() - 60, 5))
    adopting.host.exit(old.id, 1)
    await begin(adopting)
    await until(lambda: not adopting.left())
    (exited,) = adopting.logged("job.exited")
    assert (5, "attempts") == (exited["restarts"], exited["not_restarted"])


async def test_a_launch_meets_what_waits_from_before(adopting: World) -> None:
    adopting.host.exit(left_behind(adopting).id, 1)
    await begin(adopting)
    await adopting.launch("a-1", "again")
    await runs_again(adopting)
    assert 0 == adopting.metric("supervisor_launches_total")


@pytest.mark.parametrize("stage", ["renamed", "created", "dead", "started", "ended", "both run"])
async def test_a_crash_in_the_middle_of_a_restart_leaves_one_job(
    adopting: World, stage: str
) -> None:
    world = adopting
    old = left_behind(world)
    world.host.exit(old.id, 1)
    world.host.free_name_of(old.id)
    if stage != "renamed":
        new = left_behind(world, restarts=Restarts(1, 1, time.time(), 1))
        if stage in ("created", "dead"):
            world.host._containers.pop(new.id)
            created = world.host.create(new.spec)
            created.status = Status.EXITED if stage == "dead" else Status.CREATED
        elif stage == "ended":
            world.host.exit(new.id, 1)
        elif stage == "both run":  # somebody has started the old one
            world.host.start(old.id)
    await begin(world)
    await runs_again(world)
    await pass_time(300)
    (only,) = world.host.containers
    assert ("a-1", True) == (only.spec.name, is_live(only))
    assert (2 if stage == "ended" else 1) == restarts_in(only.spec.labels).total
    assert {"a-1": "running"} == world.states()


async def test_a_start_with_remove_removes_what_waits() -> None:
    async with a_world(started=False) as world:
        old = left_behind(world)
        world.host.exit(old.id, 1)
        world.host.free_name_of(old.id)
        await begin(world)
        await pass_time(300)
        assert ([], {}) == (world.left(), world.states())


async def test_a_predecessor_that_was_left_behind_is_swept(adopting: World) -> None:
    old = left_behind(adopting)
    adopting.host.exit(old.id, 1)
    adopting.host.free_name_of(old.id)
    new = left_behind(adopting, restarts=Restarts(1, 1, time.time(), 1))
    await begin(adopting)
    await until(lambda: adopting.left() == ["a-1"], within=200)
    assert is_live(new)


async def test_it_goes_with_its_job_if_that_ends_before(adopting: World) -> None:
    old = left_behind(adopting)
    adopting.host.exit(old.id, 1)
    adopting.host.free_name_of(old.id)
    left_behind(adopting, restarts=Restarts(1, 1, time.time(), 1))
    await begin(adopting)
    await adopting.kill("a-1")
    assert [] == adopting.left()


@pytest.mark.usefixtures("ten_minutes")
async def test_a_supervisor_that_stops_leaves_what_waits_to_the_next() -> None:
    async with a_world() as world:
        await world.launch("a-1", "patiently again")
        end(world)
        await until(lambda: world.listed() == {"a-1": "backing_off"})
        world.readiness.drain()
        await pass_time(700)
        assert ["a-1"] == world.left()
        assert not world.host.live


async def test_where_a_successor_keeps_its_id_nothing_is_listed_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two_worlds() as (one, _):
        left_behind(one, restarts=Restarts(5, 5, time.time(), 5))
        await until(lambda: one.states() == {"a-1": "running"})
        asked = list[Mapping[str, str]]()

        async def noting(labels: Mapping[str, str]) -> Sequence[Workload]:
            asked.append(labels)
            return []

        monkeypatch.setattr(one.engine, "find", noting)
        one.host.exit(one.container("a-1").id, 1)
        await until(lambda: not one.states(), within=60)
        assert LAUNCH_LABEL not in {name for labels in asked for name in labels}


async def test_of_two_supervisors_each_knows_that_it_runs_again() -> None:
    async with two_worlds() as (one, other):
        await one.launch("a-1", "again")
        await until(lambda: other.states() == {"a-1": "running"})
        end(one, 0)
        await until(lambda: one.metric("supervisor_restarts_total") > 0, within=60)
        await pass_time(60)
        assert {"a-1": "running"} == one.states() == other.states()
        assert ["a-1"] == one.left() == one.running()
        await other.kill("a-1")
        await until(lambda: not one.states())
        assert [] == one.left()


async def unseen(world: World) -> Container:
    """A running container that the start could not look at, in development."""
    world.faults.fail("inspect", EngineTimeout("late"), times=2)
    container = left_behind(world, "a-1-1")
    await begin(world)
    assert {} == world.states()
    return container


@pytest.mark.parametrize("under_way", [False, True], ids=["launched", "under way"])
async def test_nothing_is_started_again_beside_a_launch_that_has_found_its_end(
    *, under_way: bool
) -> None:
    async with a_world(started=False, adopt=True, keep=True) as world:
        container = await unseen(world)
        look = world.faults.hold("inspect")  # of a comparison
        await look.reached()
        world.host.exit(container.id, 1)
        creation = world.faults.hold("create")
        launch = world.launching("a-1")
        await creation.reached()
        if under_way:
            look.release()
            await pass_time(0.5)
        creation.release()
        await launch
        look.release()
        await pass_time(600)
        assert ["a-1-2"] == world.running() == world.left()
        assert 0 == world.metric("supervisor_restarts_total")


async def test_what_has_ended_is_started_again_if_the_launch_beside_it_fails() -> None:
    async with a_world(started=False, adopt=True, keep=True) as world:
        container = await unseen(world)
        look = world.faults.hold("inspect")  # of a comparison
        await look.reached()
        world.host.exit(container.id, 1)
        creation = world.faults.hold("create")
        launch = world.launching("a-1")
        await creation.reached()
        look.release()
        await pass_time(0.5)
        creation.refuse(EngineRefused("no"))
        assert 502 == await launch.answer()
        await runs_again(world)
        assert 1 == world.metric("supervisor_restarts_total")
