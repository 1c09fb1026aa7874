"""Launches: dedups, shared failures, clients that go, and an Engine that fails half-way."""

import asyncio
from typing import cast

import pytest
from opentelemetry import trace

from service.engine.events import Change, Event
from service.engine.workload_spec import WorkloadSpec
from service.errors import EngineError, EngineFailed, EngineRefused, EngineTimeout, NameTaken
from service.jobs.labels import labels_of
from tests.fake_engine.faults import Operation
from tests.supervisor.world import World, a_world, pass_time, until
from tests.support.recorded_spans import Recorded
from tests.support.samples import a_job

LAUNCH_TIMEOUT = 30.0


async def test_fifty_at_once_are_one_start_and_49_dedups(world: World) -> None:
    answers = await asyncio.gather(*(world.launching("a-1").answer() for _ in range(50)))
    assert [0] * 50 == answers
    assert (1, 1) == (world.engine.calls["create"], world.engine.calls["start"])
    assert {"launches": 1, "dedups": 49} == world.counted()
    assert ["a-1"] == world.running()


async def test_dedup_looks_at_the_identifier_alone(world: World) -> None:
    await world.launch("a-1")
    await world.launch("a-1", "webhook", seconds=5)
    assert {"launches": 1, "dedups": 1} == world.counted()
    assert 1 == world.metric("supervisor_dedups_total", job_name="timer")
    (told,) = world.logged("launch.dedup")
    assert (True, ["name", "params.seconds"]) == (told["differs"], told["differing"])


async def test_a_repeated_request_is_a_dedup_without_a_look_at_what_it_says(world: World) -> None:
    await world.launch("a-1")
    job = world.registry.grouped("a-1")
    assert job is not None
    assert world.supervisor.repeats("a-1", job.fingerprint)
    assert not world.supervisor.repeats("a-1", job.fingerprint + 1)
    assert not world.supervisor.repeats("a-2", job.fingerprint)
    assert {"launches": 1, "dedups": 1} == world.counted()
    assert 1 == world.metric("supervisor_launch_duration_seconds_count", outcome="dedup")


async def test_a_repeated_request_for_what_does_not_run_is_none(world: World) -> None:
    hold = world.faults.hold("start")
    launch = world.launching("a-1")
    await hold.reached()
    job = world.registry.grouped("a-1")
    assert job is not None
    assert not world.supervisor.repeats("a-1", job.fingerprint)  # it may fail yet
    hold.release()
    await launch
    kill = world.killing("a-1")
    await asyncio.sleep(0)
    assert not world.supervisor.repeats("a-1", job.fingerprint)
    await kill
    assert not world.supervisor.repeats("a-1", job.fingerprint)


async def test_identifiers_run_side_by_side(world: World) -> None:
    names = [f"a-{n:02}" for n in range(32)]
    await asyncio.gather(*(world.launch(name) for name in names))
    assert names == world.running()
    assert dict.fromkeys(names, "running") == world.states()


async def test_a_launch_that_hangs_holds_up_nobody_else(world: World) -> None:
    hold = world.faults.hold("create")
    first = world.launching("a-1")
    await hold.reached()
    await world.launch("a-2")
    assert {"a-1": "starting", "a-2": "running"} == world.states()
    hold.release()
    assert 0 == await first.answer()


async def test_reactions_are_never_grouped(world: World) -> None:
    await asyncio.gather(*(world.launch("r-1", "mail") for _ in range(5)))
    assert 5 == len(world.running())
    assert {"launches": 5} == world.counted()


async def test_a_job_without_an_image_succeeds_and_launches_nothing(world: World) -> None:
    await world.launch("a-1", "nothing")
    assert ([], {}, {}) == (world.left(), world.states(), world.counted())


async def test_a_shared_failure_is_counted_once_and_everybody_gets_it(world: World) -> None:
    answers = await asyncio.gather(*(world.launching("a-1", "missing").answer() for _ in range(9)))
    assert [422] * 9 == answers
    assert {"failures": 1} == world.counted()
    assert 1 == world.metric("supervisor_failures_total", job_name="missing", operation="launch")
    assert ([], {}) == (world.left(), world.states())


async def test_a_failed_launch_frees_its_identifier(world: World) -> None:
    assert 422 == await world.launching("a-1", "missing").answer()
    await world.launch("a-1")
    assert ["a-1"] == world.running()


async def test_an_unknown_job_is_refused_before_anything_is_reserved(world: World) -> None:
    assert 404 == await world.launching("a-1", "nonsense").answer()
    assert (0, {}) == (world.engine.calls["create"], world.states())


# Clients that go


async def test_a_client_that_goes_leaves_a_launch_that_completes(world: World) -> None:
    hold = world.faults.hold("create", after=True)
    launch = world.launching("a-1")
    await hold.reached()
    launch.hang_up()
    await pass_time()
    hold.release()
    await until(lambda: world.states() == {"a-1": "running"})
    await world.launch("a-1")
    assert {"launches": 1, "dedups": 1} == world.counted()


async def test_a_client_that_goes_leaves_those_who_share_its_launch(world: World) -> None:
    hold = world.faults.hold("start")
    launch, sharer, other = world.launching("a-1"), world.launching("a-1"), world.launching("a-1")
    await hold.reached()
    launch.hang_up()
    sharer.hang_up()
    hold.release()
    assert 0 == await other.answer()
    assert ["a-1"] == world.running()


async def test_a_client_that_goes_before_a_failure_leaves_no_reservation(world: World) -> None:
    world.faults.fail("start", EngineRefused("no"))
    hold = world.faults.hold("create")
    launch = world.launching("a-1")
    await hold.reached()
    launch.hang_up()
    hold.release()
    await until(lambda: world.states() == {})
    assert {"failures": 1} == world.counted()
    assert [] == world.left()


# An Engine that fails


async def test_a_start_that_is_refused_leaves_nothing_behind(world: World) -> None:
    world.faults.fail("start", EngineRefused("no such runtime"))
    assert 502 == await world.launching("a-1").answer()
    assert ([], {}) == (world.left(), world.states())
    assert 1 == world.metric("supervisor_failures_total", reason="engine_refused")
    await world.launch("a-1")


@pytest.mark.parametrize("operation", ["create", "start"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_call_that_takes_too_long_is_a_504_that_leaves_nothing(
    world: World, operation: Operation, *, after: bool
) -> None:
    world.faults.fail(operation, EngineTimeout("too long"), after=after)
    assert 504 == await world.launching("a-1").answer()
    assert {} == world.states()
    await until(lambda: world.left() == [])
    await world.launch("a-1")
    await pass_time()
    assert ["a-1"] == world.running()
    assert {"a-1": "running"} == world.states()


@pytest.mark.parametrize("operation", ["names", "create", "start"])
async def test_the_time_limit_holds_for_each_call_in_development_too(
    development: World, operation: Operation
) -> None:
    hold = development.faults.hold(operation)
    began = asyncio.get_running_loop().time()
    assert 504 == await development.launching("a-1").answer()
    assert asyncio.get_running_loop().time() - began < LAUNCH_TIMEOUT + 0.1
    assert {} == development.states()
    hold.release()
    await until(lambda: [] == development.left())


@pytest.mark.parametrize("operation", ["create", "start"])
async def test_what_appears_after_its_launch_was_given_up_is_removed(
    world: World, operation: Operation
) -> None:
    hold = world.faults.hold(operation)
    began = asyncio.get_running_loop().time()
    assert 504 == await world.launching("a-1").answer()
    assert LAUNCH_TIMEOUT == pytest.approx(asyncio.get_running_loop().time() - began, abs=0.1)
    assert {} == world.states()
    hold.release()
    await pass_time()
    assert [] == world.left()
    assert {"failures": 1} == world.counted()


async def test_what_appears_late_is_removed_without_an_inspection(world: World) -> None:
    hold = world.faults.hold("create")
    assert 504 == await world.launching("a-1").answer()
    before = world.engine.calls["inspect"]
    hold.release()
    await pass_time(1)
    assert [] == world.left()
    assert before == world.engine.calls["inspect"]


async def test_what_appears_while_its_successor_runs_does_not_harm_it(development: World) -> None:
    hold = development.faults.hold("create")
    assert 504 == await development.launching("a-1").answer()
    await development.launch("a-1")
    [name] = development.running()
    hold.release()
    await pass_time()
    assert [name] == development.running()
    assert [name] == development.left()


async def test_what_an_abandoned_launch_left_makes_way_for_the_next(world: World) -> None:
    world.faults.fail("start", EngineTimeout("too long"), after=True)
    sweep = world.faults.hold("list")  # so that the next launch meets it
    assert 504 == await world.launching("a-1").answer()
    await sweep.reached()
    assert ["a-1"] == world.running()
    old = world.container("a-1")
    await world.launch("a-1")
    assert old is not world.container("a-1")
    sweep.release()
    await pass_time()
    assert ["a-1"] == world.running()


@pytest.mark.parametrize("name", ["timer", "webhook", "mail"])
@pytest.mark.parametrize("keep", [False, True])
async def test_what_was_started_against_all_appearance_is_not_started_again(
    *, name: str, keep: bool
) -> None:
    async with a_world(keep=keep) as world:
        starts = _starts(world)
        world.faults.fail("create", EngineFailed("odd"), after=True)
        world.faults.fail("start", EngineFailed("odd"), after=True, times=9)
        await world.launch("a-1", name)
        await pass_time()
        assert (1, 1, 1) == (len(starts), len(world.running()), len(world.left()))
        assert {"launches": 1} == world.counted()


@pytest.mark.parametrize("name", ["webhook", "mail"])
async def test_what_has_run_in_a_gap_is_not_run_again(world: World, name: str) -> None:
    starts = _starts(world)
    hold = world.faults.hold("start", after=True)
    launch = world.launching("a-1", name, exit=0)
    await hold.reached()
    world.engine.go_away()
    await pass_time(1)
    world.engine.come_back()
    assert 0 == await launch.answer()
    await until(lambda: not world.states())
    assert 1 == len(starts)
    assert {"success": 1} == world.outcomes("supervisor_exits_total")
    assert [] == world.left()


async def test_an_action_that_a_dying_engine_has_taken_along_starts_anew(world: World) -> None:
    starts = _starts(world)
    hold = world.faults.hold("start", after=True)
    launch = world.launching("a-1")
    await hold.reached()
    world.engine.go_away()
    world.host.exit(world.container("a-1").id, 137)
    await pass_time(1)
    world.engine.come_back()
    assert 0 == await launch.answer()
    assert ["a-1"] == world.running() == world.left()
    assert 2 == len(starts)


async def test_an_engine_that_fails_each_time_is_a_502_and_leaves_nothing(world: World) -> None:
    world.faults.fail("start", EngineFailed("odd"), times=9)
    assert 502 == await world.launching("a-1").answer()
    await pass_time()
    assert [] == world.left()
    assert {} == world.states()


def _starts(world: World) -> list[Event]:
    """The starts of containers, from now on."""
    seen: list[Event] = []

    def listen(event: Event) -> None:
        if event.change is Change.STARTED:
            seen.append(event)

    world.host.listeners.append(listen)
    return seen


@pytest.mark.parametrize("operation", ["create", "start"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["timer", "mail"])
@pytest.mark.parametrize("keep", [False, True])
async def test_an_engine_that_is_back_soon_is_tried_again(
    operation: Operation, *, after: bool, name: str, keep: bool
) -> None:
    async with a_world(keep=keep) as world:
        hold = world.faults.hold(operation, after=after)
        launch = world.launching("a-1", name)
        await hold.reached()
        world.engine.go_away()
        await pass_time(3)
        assert not launch.done
        assert {"a-1": "starting"} == world.states()
        world.engine.come_back()
        assert 0 == await launch.answer()
        await pass_time()
        assert 1 == len(world.left())
        assert 1 == len(world.running())
        assert {"launches": 1} == world.counted()


async def test_each_of_many_launches_waits_five_seconds_for_an_engine_that_is_away(
    world: World,
) -> None:
    """Those that wait for their turn, too."""
    hold = world.faults.hold("create")
    asked = [world.launching(f"a-{number}") for number in range(64)]
    await hold.reached()
    world.engine.go_away()
    began = asyncio.get_running_loop().time()
    assert {503} == {await each.answer() for each in asked}
    assert asyncio.get_running_loop().time() - began < 7


async def test_a_crash_is_told_and_counted_once_whether_or_not_its_client_is_there(
    world: World,
) -> None:
    for hangs_up in (False, True):
        world.faults.fail("start", cast("EngineError", RuntimeError("odd")))
        hold = world.faults.hold("create")
        launch = world.launching("a-1")
        await hold.reached()
        if hangs_up:
            launch.hang_up()
        hold.release()
        await until(lambda: not world.states())
        if not hangs_up:
            assert 500 == await launch.answer()
    assert 2 == world.metric("supervisor_failures_total", reason="internal")
    assert ["odd" in entry["traceback"] for entry in world.logged("request.crashed")] == [True] * 2


async def test_an_engine_that_stays_away_is_a_503_after_five_seconds(world: World) -> None:
    hold = world.faults.hold("create", after=True)
    launch = world.launching("a-1")
    await hold.reached()
    world.engine.go_away()
    began = asyncio.get_running_loop().time()
    assert 503 == await launch.answer()
    assert 5 <= asyncio.get_running_loop().time() - began < 7
    assert {} == world.states()
    world.engine.come_back()
    await until(lambda: world.left() == [])
    assert {"failures": 1} == world.counted()


async def test_a_launch_that_finds_the_engine_away_waits_for_it(world: World) -> None:
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    launch = world.launching("a-1")
    await pass_time(3)
    assert not launch.done
    world.engine.come_back()
    assert 0 == await launch.answer()


async def test_a_launch_that_waits_in_vain_reserves_nothing(world: World) -> None:
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    began = asyncio.get_running_loop().time()
    assert 503 == await world.launching("a-1").answer()
    assert 5 == pytest.approx(asyncio.get_running_loop().time() - began, abs=0.1)
    assert {} == world.states()
    assert 1 == world.metric("supervisor_failures_total", reason="unavailable")


async def test_a_dedup_does_not_wait_for_the_engine(world: World) -> None:
    await world.launch("a-1")
    world.engine.go_away()
    await until(lambda: not world.readiness.ready)
    began = asyncio.get_running_loop().time()
    await world.launch("a-1")
    assert 0 == asyncio.get_running_loop().time() - began


# Names


async def test_a_name_that_a_stranger_holds_is_a_409_and_the_stranger_stays(world: World) -> None:
    stranger = world.put("a-1")
    launch = world.launching("a-1")
    assert 409 == await launch.answer()
    assert "'a-1'" in str(launch.error)
    assert ["a-1"] == world.running()
    assert stranger is world.container("a-1")
    assert {} == world.states()


async def test_another_instances_container_is_a_stranger(world: World) -> None:
    await world.launch("a-1")
    labels = dict(world.container("a-1").spec.labels) | {"area.supervisor.instance": "other"}
    world.put("a-2", labels)
    assert 409 == await world.launching("a-2").answer()
    assert ["a-1", "a-2"] == world.running()


async def test_a_name_on_its_way_out_is_waited_for(world: World) -> None:
    stranger = world.put("a-1")
    world.host.removal_seconds = 2
    removal = asyncio.create_task(world.host.remove(stranger.id, force=True))
    assert 0 == await world.launching("a-1").answer()
    await removal
    assert ["a-1"] == world.running()


async def test_a_name_that_does_not_become_free_is_a_409(world: World) -> None:
    stranger = world.put("a-1")
    world.host.removal_seconds = 20
    removal = asyncio.create_task(world.host.remove(stranger.id, force=True))
    began = asyncio.get_running_loop().time()
    assert 409 == await world.launching("a-1").answer()
    assert 5 == pytest.approx(asyncio.get_running_loop().time() - began, abs=0.5)
    await removal


async def test_in_development_the_count_goes_on_from_the_highest(development: World) -> None:
    world = development
    world.put("a-1-7")
    world.put("a-1-x")
    await world.launch("a-1")
    assert "a-1-8" in world.running()
    world.host.exit(world.container("a-1-8").id, 0)
    await until(lambda: world.states() == {})
    await world.launch("a-1")
    assert ["a-1-7", "a-1-8", "a-1-9", "a-1-x"] == world.left()
    assert "a-1-9" in world.running()


async def test_in_development_names_counted_at_once_differ(development: World) -> None:
    await asyncio.gather(*(development.launch("r-1", "mail") for _ in range(6)))
    assert 6 == len(set(development.running()))


async def test_in_development_what_was_given_up_runs_beside_nothing(development: World) -> None:
    """Its start is slow, and until that is over nothing removes it."""
    world = development
    start = world.faults.hold("start")
    removals = [world.faults.hold("remove") for _ in range(9)]
    assert 504 == await world.launching("a-1").answer()
    launch = world.launching("a-1")
    await pass_time()
    assert ["a-1-1"] == world.left()
    start.release()
    await pass_time()
    assert ["a-1-1"] == world.left()
    for removal in removals:
        removal.release()
    assert 0 == await launch.answer()
    assert ["a-1-1"] == world.running() == world.left()


async def test_in_development_what_an_earlier_run_has_begun_makes_way(development: World) -> None:
    world = development
    labels = dict(labels_of(a_job("1" * 16, identifier="a-1"), "default"))
    spec = WorkloadSpec(name="a-1-4", image="worker", arguments=(), labels=labels)
    begun = world.host.create(spec)
    await world.launch("a-1")
    assert ["a-1-4"] == world.running() == world.left()
    assert begun is not world.container("a-1-4")


# Draining


async def test_draining_refuses_what_queues_and_finishes_what_has_begun(world: World) -> None:
    holds = [world.faults.hold("create") for _ in range(8)]
    begun = [world.launching(f"a-{n}") for n in range(8)]
    for hold in holds:
        await hold.reached()
    queued = [world.launching(f"b-{n}") for n in range(5)]
    await pass_time()
    assert 13 == len(world.states())
    world.readiness.drain()
    late = world.launching("c-1")
    assert 503 == await late.answer()
    for hold in holds:
        hold.release()
    assert [503] * 5 == [await launch.answer() for launch in queued]
    assert [0] * 8 == [await launch.answer() for launch in begun]
    await world.supervisor.finish()
    assert [f"a-{n}" for n in range(8)] == world.running()


async def test_draining_refuses_what_comes_though_the_engine_has_nothing_to_do(
    world: World,
) -> None:
    world.readiness.drain()
    assert 503 == await world.launching("a-1").answer()
    assert [] == world.left()


async def test_draining_refuses_at_once_even_if_the_engine_hangs(world: World) -> None:
    holds = [world.faults.hold("create") for _ in range(8)]
    begun = [world.launching(f"a-{n}") for n in range(8)]
    for hold in holds:
        await hold.reached()
    queued = world.launching("b-1")
    await pass_time()
    world.readiness.drain()
    try:
        await until(lambda: queued.done, within=1)
        assert 503 == await queued.answer()
    finally:
        for hold in holds:
            hold.release()
        await asyncio.gather(*begun)


async def test_draining_refuses_what_waits_for_its_predecessor(world: World) -> None:
    await world.launch("a-1")
    hold = world.faults.hold("stop")
    kill = world.killing("a-1")
    await hold.reached()
    launch = world.launching("a-1")
    await pass_time()
    world.readiness.drain()
    try:
        await until(lambda: launch.done, within=1)
        assert 503 == await launch.answer()
    finally:
        hold.release()
        await kill
    assert [] == world.left()


async def test_finish_waits_for_launches_whose_clients_have_gone(world: World) -> None:
    hold = world.faults.hold("create")
    launch = world.launching("a-1")
    await hold.reached()
    launch.hang_up()
    world.readiness.drain()
    finish = asyncio.create_task(world.supervisor.finish())
    await pass_time()
    assert not finish.done()
    hold.release()
    await finish
    assert ["a-1"] == world.running()


async def test_finish_waits_for_the_removal_of_what_was_given_up(world: World) -> None:
    world.faults.fail("start", EngineTimeout("too long"), after=True)
    removal = world.faults.hold("remove")
    assert 504 == await world.launching("a-1").answer()
    world.readiness.drain()
    finish = asyncio.create_task(world.supervisor.finish())
    await removal.reached()
    await pass_time()
    assert not finish.done()
    removal.release()
    await finish
    assert [] == world.left()


async def test_a_name_that_a_failed_start_has_left_taken_does_not_hide_its_reason(
    world: World,
) -> None:
    hold = world.faults.hold("start")
    launch = world.launching("a-1")
    await hold.reached()
    world.faults.fail("create", NameTaken("the name is in use"), times=9)
    hold.refuse(EngineFailed("the runtime has no cgroups"))
    assert 502 == await launch.answer()
    assert "the runtime has no cgroups" in str(launch.error)
    await until(lambda: [] == world.left())


async def test_an_invalid_request_is_refused_before_anything_is_reserved(world: World) -> None:
    assert 400 == await world.launching(" ").answer()
    assert {} == world.states()
    assert {"failures": 1} == world.counted()
    assert [] == world.left()


async def test_events_name_the_node_if_the_engine_has_several(world: World) -> None:
    await world.launch("a-1")
    world.host.node = "worker-2"
    await world.launch("a-2")
    assert [None, "worker-2"] == [each.get("node") for each in world.logged("job.launched")]
    assert 1 == world.metric("supervisor_jobs_by_node", node="worker-2")
    world.host.exit(world.container("a-2").id, 1)
    await until(lambda: bool(world.logged("job.exited")))
    (exited,) = world.logged("job.exited")
    assert ("a-2", "worker-2") == (exited["identifier"], exited["node"])
    assert 0 == world.metric("supervisor_jobs_by_node", node="worker-2")


async def test_spans_name_the_node(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: recorded.provider)
    world.host.node = "worker-2"
    with recorded.tracer.start_as_current_span("request"):
        await world.launch("a-1")
    world.host.exit(world.container("a-1").id, 1)
    await until(lambda: bool(world.logged("job.exited")))
    nodes = {span.name: (span.attributes or {}).get("supervisor.node") for span in recorded.spans}
    assert "worker-2" == nodes["request"] == nodes["job"]
