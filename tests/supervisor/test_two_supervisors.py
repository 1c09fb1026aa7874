"""Two supervisors of one instance on an engine that they share.

Together they have to count each launch and each exit once, whoever does what.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from service.engine.workloads import Workload
from service.errors import EngineFailed, EngineUnavailable, StartError
from service.jobs.labels import LAUNCH_LABEL, SERVES_LABEL
from tests.supervisor.told import Told, reports_to
from tests.supervisor.world import INSTANCE, World, a_sharing_world, pass_time, two_worlds, until

# For as long, an end is left to the supervisor that has launched the job (seconds).
_LEFT_TO_OTHERS = 8.0

Worlds = tuple[World, World]


@pytest.fixture
async def worlds() -> AsyncIterator[Worlds]:
    """Both are ready."""
    async with two_worlds() as made:
        yield made


@asynccontextmanager
async def _one_more(worlds: Worlds) -> AsyncIterator[World]:
    """A third supervisor that is being started."""
    world = a_sharing_world(worlds[0].host, worlds[0].logs)
    world.watch()
    yield world
    await world.end()


def _sum(worlds: Sequence[World], metric: str, **labels: str) -> float:
    return sum(world.metric(metric, **labels) for world in worlds)


def _outcomes(worlds: Sequence[World]) -> dict[str, float]:
    """The exits that both have counted."""
    found: dict[str, float] = {}
    for world in worlds:
        for outcome, number in world.outcomes("supervisor_exits_total").items():
            found[outcome] = found.get(outcome, 0) + number
    return found


async def _until_both(worlds: Worlds, states: dict[str, str], *, within: float = 2.0) -> None:
    await until(lambda: all(world.states() == states for world in worlds), within=within)


def _reports(world: World) -> list[str]:
    return [entry["outcome"] for entry in world.logged("job.exited")]


@pytest.mark.parametrize("identifier", ["", "a\0", "é" * 65_536])
async def test_a_kill_of_what_cannot_run_asks_the_engine_nothing(
    worlds: Worlds, identifier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An identifier of megabytes does not fit into a request to a manager."""
    asked: list[Mapping[str, str]] = []

    async def find(labels: Mapping[str, str]) -> Sequence[Workload]:
        asked.append(labels)
        return []

    monkeypatch.setattr(worlds[0].engine, "find", find)
    await worlds[0].kill(identifier)
    assert [] == asked
    await worlds[0].kill("x" * 131_071)
    assert 1 == len(asked)


@pytest.mark.parametrize(("code", "outcome"), [(0, "ended"), (3, "error")])
async def test_an_exit_is_reported_once_by_whoever_has_launched_the_job(
    worlds: Worlds, code: int, outcome: str
) -> None:
    one, two = worlds
    await one.launch("a-1")
    await _until_both(worlds, {"a-1": "running"})
    one.host.exit(one.container("a-1").id, code)
    await _until_both(worlds, {})
    assert {outcome: 1} == one.outcomes("supervisor_exits_total")
    assert {} == two.outcomes("supervisor_exits_total")
    assert [outcome] == _reports(one)
    assert 1 == _sum(worlds, "supervisor_launches_total")
    assert [] == one.left()


async def test_the_backend_is_told_of_a_crash_once(worlds: Worlds) -> None:
    told = Told()
    for world in worlds:
        reports_to(told, world)
    one, two = worlds
    for identifier in ("a-1", "a-2"):
        await one.launch(identifier)
    await _until_both(worlds, {"a-1": "running", "a-2": "running"})
    one.host.exit(one.container("a-1").id, 3)
    await _until_both(worlds, {"a-2": "running"})
    one.engine.go_away()  # a dead process does no more
    two.host.exit(two.container("a-2").id, 3)
    await until(lambda: two.states() == {}, within=_LEFT_TO_OTHERS)
    await pass_time(_LEFT_TO_OTHERS)
    assert ["a-1", "a-2"] == told.identifiers
    assert 2 == _sum(worlds, "supervisor_crash_reports_total", outcome="sent")


async def test_a_job_that_ends_before_the_other_has_seen_it_is_reported_once(
    worlds: Worlds,
) -> None:
    one, two = worlds
    await one.launch("a-1", "webhook", exit="0")
    await _until_both(worlds, {})
    await pass_time(_LEFT_TO_OTHERS)
    assert {"success": 1} == one.outcomes("supervisor_exits_total")
    assert {} == two.outcomes("supervisor_exits_total")


async def test_the_other_reports_an_exit_where_whoever_has_launched_the_job_is_gone(
    worlds: Worlds,
) -> None:
    one, two = worlds
    await one.launch("a-1")
    await _until_both(worlds, {"a-1": "running"})
    one.engine.go_away()  # a dead process does no more
    two.host.exit(two.container("a-1").id, 3)
    await until(lambda: two.states() == {"a-1": "exited"})
    assert {} == two.listed()
    await until(lambda: two.states() == {}, within=_LEFT_TO_OTHERS)
    assert {"error": 1} == _outcomes(worlds)
    assert [] == two.left()


@pytest.mark.parametrize("stubborn", [{}, {"stubborn": 1}], ids=["soon", "by force"])
@pytest.mark.parametrize("killer", [0, 1], ids=["launched it", "another"])
async def test_a_kill_is_no_crash_to_the_other_and_counts_once(
    worlds: Worlds, killer: int, stubborn: dict[str, int]
) -> None:
    await worlds[0].launch("a-1", "timer", **stubborn)
    await _until_both(worlds, {"a-1": "running"})
    await worlds[killer].kill("a-1")
    await _until_both(worlds, {})
    assert {"killed": 1} == worlds[killer].outcomes("supervisor_exits_total")
    assert {"killed": 1} == _outcomes(worlds)
    assert ["killed"] == _reports(worlds[0])


async def test_the_other_lists_what_is_being_killed_as_stopping(worlds: Worlds) -> None:
    one, two = worlds
    await one.launch("a-1", "timer", stubborn=1)
    await _until_both(worlds, {"a-1": "running"})
    kill = one.killing("a-1")
    await until(lambda: two.listed() == {"a-1": "stopping"})
    await kill
    await _until_both(worlds, {})


async def test_the_other_finishes_a_kill_whose_supervisor_is_gone(worlds: Worlds) -> None:
    one, two = worlds
    await one.launch("a-1", "timer", stubborn=1)
    await _until_both(worlds, {"a-1": "running"})
    kill = one.killing("a-1")
    await until(lambda: two.listed() == {"a-1": "stopping"})
    one.engine.go_away()
    two.host.kill(two.container("a-1").id)  # the engine carries the stop out by itself
    await until(lambda: two.states() == {}, within=_LEFT_TO_OTHERS)
    assert {"killed": 1} == two.outcomes("supervisor_exits_total")
    await kill.answer()


async def test_both_may_kill_the_same_at_once(worlds: Worlds) -> None:
    await worlds[0].launch("a-1")
    await _until_both(worlds, {"a-1": "running"})
    kills = [world.killing("a-1") for world in worlds]
    for kill in kills:
        await kill
    await _until_both(worlds, {})
    assert {"killed": 1} == _outcomes(worlds)
    assert 2 == _sum(worlds, "supervisor_kills_total", outcome="stopped")


async def test_both_may_launch_the_same_at_once(worlds: Worlds) -> None:
    launches = [world.launching("a-1") for world in worlds]
    for launch in launches:
        await launch
    await _until_both(worlds, {"a-1": "running"})
    assert 1 == _sum(worlds, "supervisor_launches_total")
    assert 1 == _sum(worlds, "supervisor_dedups_total")
    assert ["a-1"] == worlds[0].running()


async def test_a_kill_finds_what_the_other_has_just_launched(worlds: Worlds) -> None:
    one, two = worlds
    await one.launch("a-1")
    assert {} == two.states()  # it has not listed it yet
    await two.kill("a-1")
    assert [] == one.left()
    await _until_both(worlds, {}, within=40)  # the fake misses at last what it never listed
    assert {"killed": 1} == _outcomes(worlds)


async def test_a_kill_of_all_finds_what_the_other_is_launching(worlds: Worlds) -> None:
    one, two = worlds
    hold = one.faults.hold("start")
    launch = one.launching("a-1")
    await until(lambda: one.exists("a-1"))
    kill = two.killing_all()
    await until(lambda: kill.done, within=10)
    hold.release()
    await launch.answer()
    await kill
    assert [] == one.running()
    await _until_both(worlds, {}, within=40)


async def test_a_launch_follows_the_kill_by_the_other(worlds: Worlds) -> None:
    one, two = worlds
    await one.launch("a-1", "timer", stubborn=1)
    await _until_both(worlds, {"a-1": "running"})
    kill = one.killing("a-1")
    await until(lambda: two.listed() == {"a-1": "stopping"})
    await two.launch("a-1")
    await kill
    await _until_both(worlds, {"a-1": "running"})
    assert ["a-1"] == one.running()
    assert 2 == _sum(worlds, "supervisor_launches_total")
    assert {"killed": 1} == _outcomes(worlds)


async def test_a_launch_over_what_has_ended_unseen_reports_that_end(worlds: Worlds) -> None:
    one, two = worlds
    await one.launch("a-1")
    one.engine.go_away()
    assert {} == two.states()
    two.host.exit(two.container("a-1").id, 3)
    await two.launch("a-1")
    assert ["a-1"] == two.running()
    await until(lambda: {"error": 1} == _outcomes(worlds), within=_LEFT_TO_OTHERS)


async def test_what_a_third_party_removes_is_lost_and_counts_once(worlds: Worlds) -> None:
    one, two = worlds
    await one.launch("a-1")
    await _until_both(worlds, {"a-1": "running"})
    two.host.torn.add(two.container("a-1").id)
    await two.host.remove(two.container("a-1").id, force=True)
    await _until_both(worlds, {})
    assert {"lost": 1} == one.outcomes("supervisor_exits_total")
    assert {} == two.outcomes("supervisor_exits_total")
    assert 1 == len(two.logged("job.closed_elsewhere"))


@pytest.mark.parametrize("error", [EngineUnavailable("gone"), EngineFailed("lost")])
async def test_a_removal_whose_answer_is_lost_was_ours(
    worlds: Worlds, error: EngineUnavailable | EngineFailed
) -> None:
    one, _ = worlds
    await one.launch("a-1")
    await _until_both(worlds, {"a-1": "running"})
    one.faults.fail("remove", error, after=True)
    one.host.exit(one.container("a-1").id, 3)
    await _until_both(worlds, {}, within=10)
    assert {"error": 1} == _outcomes(worlds)


async def test_what_the_other_launches_anew_in_a_moment_is_left_alone(worlds: Worlds) -> None:
    """The job of the old container is not closed yet when the new one is seen."""
    one, two = worlds
    await one.launch("a-1")
    await _until_both(worlds, {"a-1": "running"})
    for _ in range(5):
        await one.kill("a-1")
        await one.launch("a-1")
        await pass_time(0.3)
    await _until_both(worlds, {"a-1": "running"})
    await pass_time(_LEFT_TO_OTHERS)
    assert ["a-1"] == two.running()
    assert [] == two.logged("job.surplus")
    assert {"killed": 5} == _outcomes(worlds)


async def test_one_that_starts_leaves_the_launch_of_the_other_alone(worlds: Worlds) -> None:
    one, _ = worlds
    hold = one.faults.hold("start")
    launch = one.launching("a-1", key="k")
    await until(lambda: one.exists("a-1"))
    async with _one_more(worlds) as third:
        await third.ready()
        hold.release()
        await launch
        assert ["a-1"] == one.running()
        await until(lambda: third.states() == {"a-1": "running"})


async def test_nobody_removes_all_jobs_while_another_serves(worlds: Worlds) -> None:
    one, _ = worlds
    await one.launch("a-1")
    other = one.put("other", {SERVES_LABEL: INSTANCE})
    starting = a_sharing_world(one.host, one.logs, supervisor_on_start="remove")
    with pytest.raises(StartError, match=r"would end the jobs of 'other'.*; set adopt"):
        await starting.watcher.run()
    assert "a-1" in one.running()
    one.host.exit(other.id, 0)
    again = a_sharing_world(one.host, one.logs, supervisor_on_start="remove")
    again.watch()
    await again.ready()
    assert [] == one.running()
    await again.end()


async def test_a_copy_waits_once_for_the_end_of_its_job(worlds: Worlds) -> None:
    """A job may run for days, and each comparison finds what somebody runs beside it."""
    one, _ = worlds
    await one.launch("a-1")
    labels = dict(one.container("a-1").spec.labels) | {LAUNCH_LABEL: "0" * 32}
    copy = one.put("copy", labels)
    await pass_time(600)
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert len(worlds) == len([name for name in names if name.startswith(f"examine {copy.id}")])
