"""Limits of jobs and images, launches that wait for room, and whose turn it is."""

import asyncio
import random
from collections import Counter
from functools import partial
from typing import Any

import pytest

from service.jobs.catalog import Catalog
from service.jobs.catalog_keys import Entry
from service.jobs.labels import labels_of
from service.jobs.model import Kind
from service.support.retry import GAP_SECONDS
from tests.supervisor.world import IMAGE, Asked, World, a_world, is_live, pass_time, until
from tests.support.samples import a_job

WAIT = 20.0
OTHER = "other"


def _job(kind: Kind = Kind.ACTION, **keys: Any) -> Entry:
    return Entry.model_validate({"kind": kind, "image": IMAGE} | keys)


_LIMITED = Catalog(
    {
        "two": _job(max_running=2),
        "one": _job(max_running=1, when_full="wait"),
        "mail": _job(Kind.REACTION, max_running=1, when_full="wait"),
        "free": _job(),
    }
)
# Whoever waits here waits for MAX_RUNNING_JOBS.
_PATIENT = Catalog(
    {
        "timer": _job(when_full="wait"),
        "weather": _job(when_full="wait"),
        "urgent": _job(when_full="wait", priority=10),
        "late": _job(when_full="wait", priority=-100),
        "hasty": _job(),
    }
)


def _waiting(world: World, queue: str = "room") -> float:
    return world.metric("supervisor_launches_waiting", queue=queue)


def _waits(world: World, queue: str = "room") -> float:
    return world.metric("supervisor_launch_wait_duration_seconds_count", queue=queue)


async def _order(world: World, asked: dict[str, Asked]) -> list[str]:
    """In which order launches have their answers, as jobs end one by one."""
    order: list[str] = []
    names = {each.task: name for name, each in asked.items()}
    for task in names:
        task.add_done_callback(lambda done: order.append(names[done]))
    for answered in range(1, len(asked) + 1):
        world.host.exit(world.host.live[0].id, 0)
        await until(partial(lambda number: len(order) == number, answered))
    return order


async def _leave(world: World, asked: list[Asked]) -> None:
    """All of these clients hang up."""
    for each in asked:
        each.hang_up()
    await until(lambda: "starting" not in world.states().values())


# What is limited


async def test_as_many_jobs_of_a_name_run_as_may() -> None:
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "two")
        await world.launch("a-2", "two")
        refused = world.launching("a-3", "two")
        assert 429 == await refused.answer()
        assert refused.error is not None
        assert "two: 2 run, and its max_running = 2 allows no more" == refused.error.message
        await world.launch("a-1", "two")  # a dedup needs no room
        await world.launch("b-1", "free")  # nor does another job
        kill, again = world.killing("a-1"), world.launching("a-1", "two")
        await kill
        await again  # nor a successor, which waits for its predecessor
        assert ["a-1", "a-2", "b-1"] == world.running()
        world.host.exit(world.container("a-2").id, 1)
        await until(lambda: "a-2" not in world.states())
        await world.launch("a-3", "two")


async def test_the_limit_of_an_image_is_for_all_of_its_jobs_together() -> None:
    jobs = {"timer": _job(), "mail": _job(Kind.REACTION), "free": _job(image=OTHER)}
    async with a_world(catalog=Catalog(jobs, {IMAGE: 2})) as world:
        world.host.images.add(OTHER)
        await world.launch("a-1", "timer")
        await world.launch("r-1", "mail")
        for name in ("timer", "mail"):
            refused = world.launching("x", name)
            assert 429 == await refused.answer()
            assert refused.error is not None
            told = f"image {IMAGE}: 2 run, and its max_running = 2 allows no more"
            assert told == refused.error.message
        await world.launch("b-1", "free")
        await world.kill("r-1")
        await world.launch("a-2", "timer")


async def test_a_limit_that_changes_is_that_of_the_next_launch() -> None:
    async with a_world(catalog=Catalog({"timer": _job(max_running=1)})) as world:
        await world.launch("a-1")
        world.use_catalog(Catalog({"timer": _job()}, {IMAGE: 2}))
        await world.launch("a-2")
        assert 429 == await world.launching("a-3").answer()
        world.use_catalog(Catalog({"timer": _job(max_running=1)}))
        assert ["a-1", "a-2"] == world.running()  # a lower limit ends nothing
        await world.kill("a-1")
        assert 429 == await world.launching("a-3").answer()


async def test_a_limit_that_grows_gives_room_to_those_that_wait() -> None:
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "one")
        waiting = [world.launching(f"a-{number}", "one") for number in (2, 3, 4)]
        await until(lambda: _waiting(world) == 3)
        world.use_catalog(Catalog({"one": _job(max_running=2)}))
        await until(lambda: _waiting(world) == 2)
        assert 0 == await waiting[0].answer()


async def test_a_launch_that_waits_for_a_job_that_is_gone_from_the_catalogue_fails() -> None:
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "one")
        waiting = [world.launching(f"a-{number}", "one") for number in (2, 3)]
        other = world.launching("r-1", "mail")
        await other
        also = world.launching("r-1", "mail")
        await until(lambda: _waiting(world) == 3)
        world.use_catalog(Catalog({"mail": _job(Kind.REACTION, max_running=1)}))
        assert [404, 404] == [await each.answer() for each in waiting]
        assert "name: 'one' is no longer a job of the catalogue" == str(waiting[0].error)
        assert ({"a-1": "running", "r-1": "starting"}, 1) == (world.states(), _waiting(world))
        await world.kill("r-1")
        assert 499 == await also.answer()


async def test_what_was_taken_over_counts_as_what_it_is() -> None:
    async with a_world(catalog=_LIMITED, adopt=True, started=False) as world:
        for number in (1, 2):
            job = a_job(str(number) * 16, identifier=f"a-{number}", name="two")
            world.put(job.identifier, dict(labels_of(job, "default")))
        world.watch()
        await world.ready()
        assert 429 == await world.launching("a-3", "two").answer()
        await world.kill("a-2")
        await world.launch("a-3", "two")


async def test_containers_that_are_kept_do_not_count() -> None:
    async with a_world(catalog=_LIMITED, keep=True) as world:
        for _ in range(5):
            await world.launch("a-1", "two", exit=0)
            await until(lambda: world.states() == {})
        assert len(world.left()) == 5


# Who waits


async def test_a_launch_waits_until_there_is_room() -> None:
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "one")
        waiting = world.launching("a-2", "one")
        await pass_time()
        assert ({"a-1": "running", "a-2": "starting"}, ["a-1"]) == (world.listed(), world.running())
        assert (1, 0) == (_waiting(world), _waits(world))
        (told,) = world.logged("launch.waiting")
        assert ("one", "a-2", "one: 1 run, and its max_running = 1 allows no more") == (
            told["job"],
            told["identifier"],
            told["limit"],
        )
        await world.kill("a-1")
        assert 0 == await waiting.answer()
        assert ({"a-2": "running"}, ["a-2"]) == (world.states(), world.running())
        assert (0, 1) == (_waiting(world), _waits(world))
        seconds = world.metric("supervisor_launch_wait_duration_seconds_sum", queue="room")
        assert 2 <= seconds < WAIT


async def test_a_launch_that_fails_makes_room() -> None:
    jobs = Catalog({"timer": _job(when_full="wait"), "missing": _job(image="missing")})
    async with a_world(catalog=jobs, max_running_jobs=1) as world:
        hold = world.faults.hold("create")
        failing = world.launching("m-1", "missing")
        await hold.reached()
        waiting = world.launching("a-1")
        await pass_time()
        assert not waiting.done
        hold.release()
        assert (422, 0) == (await failing.answer(), await waiting.answer())


async def test_a_launch_waits_for_so_long_and_no_longer() -> None:
    async with a_world(catalog=_LIMITED, wait_seconds=WAIT) as world:
        await world.launch("a-1", "one")
        waiting = world.launching("a-2", "one")
        await pass_time(WAIT - 1)
        assert not waiting.done
        await pass_time(2)
        assert (True, 429) == (waiting.done, await waiting.answer())
        assert waiting.error is not None
        assert waiting.error.message.endswith("its max_running = 1 allows no more; waited 20 s")
        assert ({"a-1": "running"}, 0, 1) == (world.states(), _waiting(world), _waits(world))
        await world.kill("a-1")
        await world.launch("a-2", "one")


async def test_the_same_launch_again_shares_the_wait() -> None:
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "one")
        asked = [world.launching("a-2", "one") for _ in range(3)]
        await pass_time()
        assert 1 == _waiting(world)
        await world.kill("a-1")
        assert [0, 0, 0] == [await each.answer() for each in asked]
        assert {"launches": 2, "dedups": 2, "kills": 1, "exits": 1} == world.counted()


async def test_what_nobody_waits_for_any_more_is_dropped() -> None:
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "one")
        left, joined, other = (
            world.launching("a-2", "one"),
            world.launching("a-3", "one"),
            world.launching("a-3", "one"),
        )
        await pass_time()
        left.hang_up()
        joined.hang_up()
        await until(lambda: sorted(world.states()) == ["a-1", "a-3"])
        assert 1 == _waiting(world)
        await world.kill("a-1")
        assert 0 == await other.answer()
        assert ["a-3"] == world.running()


async def test_a_kill_takes_a_launch_out() -> None:
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "one")
        waiting = [world.launching("a-2", "one") for _ in range(2)]
        await pass_time()
        await world.kill("a-2")
        assert [True, True] == [each.done for each in waiting]
        assert [499, 499] == [await each.answer() for each in waiting]
        assert ({"a-1": "running"}, 0) == (world.states(), _waiting(world))
        assert 1 == world.metric("supervisor_failures_total", reason="killed")
        assert {"not_running": 1} == world.outcomes("supervisor_kills_total")
        await world.kill("a-1")
        await pass_time()
        assert [] == world.left()
        await world.launch("a-2", "one")


async def test_a_kill_takes_out_a_launch_of_the_same_moment() -> None:
    """Its task has hardly begun."""
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "one")
        launch, kill = world.launching("a-2", "one"), world.killing("a-2")
        assert (499, 0) == (await launch.answer(), await kill.answer())
        assert {"a-1": "running"} == world.states()


async def test_a_kill_of_everything_takes_out_all_that_wait() -> None:
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "one")
        waiting = [world.launching(f"a-{number}", "one") for number in range(2, 50)]
        waiting += [world.launching("r-1", "mail") for _ in range(50)]
        await until(lambda: _waiting(world) > 90)
        await world.killing_all()
        codes = Counter([await each.answer() for each in waiting])
        assert {0: 1, 499: 97} == codes
        assert ({}, [], 0) == (world.states(), world.left(), _waiting(world))


async def test_a_launch_behind_a_kill_that_takes_one_out_waits_itself() -> None:
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "one")
        first = world.launching("a-2", "one")
        await pass_time()
        kill, again = world.killing("a-2"), world.launching("a-2", "one")
        assert (499, 0) == (await first.answer(), await kill.answer())
        await pass_time()
        assert not again.done
        await world.kill("a-1")
        assert 0 == await again.answer()


@pytest.mark.parametrize("stays", [True, False])
async def test_while_the_engine_is_away_a_launch_waits_for_that(stays: bool) -> None:
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "one")
        waiting = world.launching("a-2", "one")
        await pass_time()
        world.engine.go_away()
        await until(lambda: not world.readiness.ready)
        if stays:
            await pass_time(2 * GAP_SECONDS)
            assert (True, 503) == (waiting.done, await waiting.answer())
            assert 0 == _waiting(world)
            return
        world.engine.come_back()
        await world.ready()
        await world.kill("a-1")
        assert 0 == await waiting.answer()


async def test_draining_answers_everything_that_waits() -> None:
    async with a_world(catalog=_LIMITED) as world:
        await world.launch("a-1", "one")
        waiting = [world.launching(f"a-{number}", "one") for number in range(2, 50)]
        await until(lambda: _waiting(world) == 48)
        world.readiness.drain()
        assert [503] * 48 == [await each.answer() for each in waiting]
        assert ({"a-1": "running"}, 0) == (world.states(), _waiting(world))


async def test_a_reaction_waits_its_turn_and_runs_each_time() -> None:
    async with a_world(catalog=_LIMITED) as world:
        asked = [world.launching("r-1", "mail", exit=0) for _ in range(20)]
        assert [0] * 20 == [await each.answer() for each in asked]
        await until(lambda: world.states() == {})
        assert {"launches": 20, "exits": 20} == world.counted()


# Whose turn it is


async def test_the_highest_priority_goes_first_and_equal_ones_in_turn_by_job() -> None:
    async with a_world(catalog=_PATIENT, max_running_jobs=1) as world:
        await world.launch("runs", "hasty")
        names = ["late", "timer", "timer", "timer", "weather", "weather", "urgent"]
        asked = {}
        for number, name in enumerate(names):
            asked[f"{name}-{number}"] = world.launching(f"{name}-{number}", name)
            await asyncio.sleep(0)
        assert 429 == await world.launching("refused", "hasty").answer()
        assert [
            *("urgent-6", "timer-1", "weather-4", "timer-2", "weather-5", "timer-3", "late-0")
        ] == await _order(world, asked)


async def test_a_flood_of_one_job_does_not_starve_another() -> None:
    async with a_world(catalog=_PATIENT, max_running_jobs=1) as world:
        await world.launch("runs", "timer")
        flood = [world.launching(f"a-{number}", "timer") for number in range(1000)]
        await until(lambda: _waiting(world) == 1000)
        one = world.launching("b-1", "weather")
        await until(lambda: _waiting(world) == 1001)
        await world.kill("runs")
        await until(lambda: ["a-0"] == world.running())
        await world.kill("a-0")
        assert 0 == await one.answer()
        assert 1 == sum(each.done for each in flood)
        await _leave(world, flood)


async def test_a_flood_before_the_engine_does_not_starve_another() -> None:
    """The same order applies to the slots, also to jobs that have no limit."""
    many: dict[str, Any] = {"max_launches_under_way": 1, "max_launches_waiting": 2000}
    async with a_world(catalog=_PATIENT, **many) as world:
        hold = world.faults.hold("create")
        first = world.launching("runs", "timer")
        await hold.reached()
        flood = [world.launching(f"a-{number}", "timer") for number in range(1000)]
        await until(lambda: _waiting(world, "slot") == 1000)
        one, urgent = world.launching("b-1", "weather"), world.launching("c-1", "urgent")
        await until(lambda: _waiting(world, "slot") == 1002)
        hold.release()
        await first
        assert (0, 0) == (await urgent.answer(), sum(each.done for each in flood))
        assert (0, 1) == (await one.answer(), sum(each.done for each in flood))
        await _leave(world, flood)
        assert (0, 1002) == (_waiting(world, "slot"), _waits(world, "slot"))


async def test_one_who_waits_for_its_own_limit_holds_up_nobody() -> None:
    async with a_world(catalog=_LIMITED, max_running_jobs=3) as world:
        await world.launch("a-1", "one")
        waiting = world.launching("a-2", "one")
        await pass_time()
        await world.launch("b-1", "free")
        await world.launch("r-1", "mail")
        assert 429 == await world.launching("b-2", "free").answer()
        await world.kill("b-1")
        await pass_time()
        assert not waiting.done
        await world.launch("b-2", "free")


async def test_a_flood_that_waits_gives_way_to_another_job_when_no_more_may_wait() -> None:
    async with a_world(catalog=_LIMITED, max_launches_under_way=1, max_launches_waiting=9) as world:
        await world.launch("a-0", "one")
        flood = [world.launching(f"a-{number}", "one") for number in range(1, 11)]
        await until(lambda: _waiting(world) == 10)
        assert 429 == await world.launching("a-11", "one").answer()
        await world.launch("b-1", "free")
        assert [False] * 9 + [True] == [each.done for each in flood]
        assert 429 == await flood[-1].answer()
        assert flood[-1].error is not None
        assert "most of them of this job" in flood[-1].error.message
        mails = [world.launching("r-1", "mail") for _ in range(10)]
        await until(lambda: sum(each.done for each in mails) == 5)
        assert (5, 4) == (sum(not each.done for each in flood), _waiting(world) - 5)
        await world.killing_all()


# Whatever happens


@pytest.mark.parametrize("seed", range(4))
async def test_never_more_run_than_may_and_nobody_waits_while_there_is_room(seed: int) -> None:
    chance = random.Random(seed)
    limits = {"one": 1, "mail": 1, "two": 2}
    async with a_world(catalog=_LIMITED, max_running_jobs=4, wait_seconds=5) as world:
        for _ in range(300):
            name = chance.choice([*_LIMITED])
            identifier = f"{name}-{chance.randrange(4)}"
            act = chance.random()
            if act < 0.6:
                params: dict[str, Any] = {"exit": 0} if act < 0.2 else {}
                asked = world.launching(identifier, name, **params)
                if chance.random() < 0.1:
                    await pass_time(chance.uniform(0, 0.02))
                    asked.hang_up()
            elif act < 0.8:
                world.killing(identifier)
            elif world.host.live:
                world.host.exit(chance.choice(world.host.live).id, 1)
            await pass_time(chance.choice((0, 0.01, 0.1, 1)))
            _check_limits(world, limits)
        await pass_time(20)
        _check_limits(world, limits)
        assert {"starting"}.isdisjoint(world.states().values())


def _check_limits(world: World, limits: dict[str, int]) -> None:
    live = Counter(each.spec.labels["area.supervisor.job"] for each in world.host.live)
    assert sum(live.values()) <= 4
    assert [] == [name for name, most in limits.items() if live[name] > most]
    rooms = world.supervisor.launch_tasks.rooms
    waiting = [job for job in world.registry.jobs() if job.launch_id in rooms._line]
    firsts = {job.name: job for job in reversed(waiting) if job.state == "starting"}
    assert [] == [job for job in firsts.values() if rooms.limit_reached(job) is None]
    assert all(is_live(each) for each in world.host.live)
