"""What an earlier run has left: taken over with SUPERVISOR_ON_START=adopt, or nobody's job."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from observability.callers import Caller
from service.engine.workloads import Status
from service.errors import EngineRefused, EngineTimeout, EngineUnavailable, StartError
from service.jobs.labels import LAUNCH_LABEL, SERVES_LABEL, labels_of
from tests.fake_engine.engine import digest_of
from tests.fake_engine.host import Container
from tests.supervisor.world import NOTICE, World, a_world, is_live, pass_time, refuse_removal, until
from tests.support.samples import a_job

_COMPARED = 34.0
_ORPHAN_GRACE = 60.0


def _inherited(world: World, name: str, launch_id: str = "1" * 16, **job: Any) -> Container:
    """A running container that an earlier run has launched."""
    labels = labels_of(a_job(launch_id, identifier=name, **job), "default")
    return world.put(name, dict(labels))


def _begun(world: World, name: str) -> Container:
    """One that an earlier run has not come to start."""
    labels = labels_of(a_job("1" * 16, identifier="a-1"), "default")
    return world.put(name, dict(labels), started=False)


@pytest.fixture
async def adopting() -> AsyncIterator[World]:
    """A supervisor in production that adopts, and has not started yet."""
    async with a_world(started=False, adopt=True) as made:
        yield made


async def _start(world: World) -> None:
    world.watch()
    await world.ready()


async def test_what_runs_is_taken_over_and_runs_on(adopting: World) -> None:
    container = _inherited(adopting, "a-1", launched_by=Caller(client="backend"))
    await _start(adopting)
    assert {"a-1": "running"} == adopting.states()
    (job,) = adopting.supervisor.list_jobs()
    assert "backend" == job.client
    assert (container.started_at, container.id) == (job.started_at, job.workload_id)
    assert (container.created_at, container.spec.name) == (job.created_at, job.workload_name)
    assert (container.spec.image, digest_of(container.spec.image)) == (
        job.image,
        job.image_digest,
    )
    assert is_live(container)
    assert 1 == adopting.metric("supervisor_adoptions_total", job_name="timer")
    assert 1 == adopting.metric("supervisor_jobs_running", job_name="timer")
    assert {} == adopting.counted()


async def test_what_was_taken_over_is_a_job_like_any_other(adopting: World) -> None:
    first, second = _inherited(adopting, "a-1"), _inherited(adopting, "a-2", "2" * 16)
    await _start(adopting)
    await adopting.launch("a-1")  # a dedup
    assert [first.id, second.id] == [c.id for c in adopting.host.live]
    assert {"dedups": 1} == adopting.counted()
    await adopting.kill("a-1")
    adopting.host.exit(second.id, 1)
    await until(lambda: not adopting.states())
    assert {"killed": 1, "error": 1} == adopting.outcomes("supervisor_exits_total")
    assert [] == adopting.left()


async def test_the_end_that_nobody_saw_is_told_and_removed(adopting: World) -> None:
    container = _inherited(adopting, "a-1")
    adopting.host.exit(container.id, 1)
    await _start(adopting)
    assert [] == adopting.left()
    (exited,) = adopting.logged("job.exited")
    assert ("a-1", "lost", 1) == (exited["identifier"], exited["outcome"], exited["exit_code"])


async def test_nothing_has_ended_where_nothing_was_started(adopting: World) -> None:
    """Docker calls a container dead whose removal was interrupted, also one that never ran."""
    _begun(adopting, "a-1").status = Status.EXITED
    await _start(adopting)
    assert [] == adopting.left()
    assert [] == adopting.logged("job.exited")


async def test_a_success_that_nobody_saw_is_one(adopting: World) -> None:
    container = _inherited(adopting, "a-1", ends=True)
    adopting.host.exit(container.id, 0)
    await _start(adopting)
    assert {"success": 1} == adopting.outcomes("supervisor_exits_total")


async def test_an_end_that_the_listing_does_not_show_yet_is_told_and_removed(
    adopting: World,
) -> None:
    container = _inherited(adopting, "a-1")
    adopting.host.exit(container.id, 1)
    container.unsettled = True
    await _start(adopting)
    assert [] == adopting.left()
    assert {"lost": 1} == adopting.outcomes("supervisor_exits_total")


async def test_what_the_start_has_removed_is_no_orphan(adopting: World) -> None:
    adopting.host.exit(_inherited(adopting, "a-1").id, 1)
    await _start(adopting)
    assert [] == adopting.logged("orphan.found")
    assert 0 == adopting.metric("supervisor_orphans_removed_total")


async def test_a_launch_does_not_take_what_has_exited_for_its_job(world: World) -> None:
    """Started late, for a supervisor that is gone, and over before anybody has looked."""
    hold = world.faults.hold("remove")
    world.host.exit(_inherited(world, "a-1").id, 1)
    await hold.reached()
    launch = world.launching("a-1")
    await pass_time()
    assert {"a-1": "starting"} == world.states()
    hold.release()
    assert 0 == await launch.answer()
    assert ["a-1"] == world.running()
    assert 0 == world.metric("supervisor_dedups_total")


async def test_a_launch_takes_over_what_holds_its_name_with_its_pause(world: World) -> None:
    """Started late by a third party, and met by a launch before anybody has looked."""
    looks = [world.faults.hold("inspect") for _ in ("created", "started")]
    container = _inherited(world, "a-1")
    world.host.pause(container.id)
    for look in looks:
        await look.reached()
    await world.launch("a-1")
    for look in looks:
        look.release()
    await pass_time()
    assert {"a-1": "paused"} == world.states()
    assert {"dedups": 1} == world.counted()
    (adopted,) = world.logged("job.adopted")
    assert container.id == adopted["container_id"]
    assert ["a-1"] == [event["identifier"] for event in world.logged("job.paused")]


@pytest.mark.parametrize("keep", [False, True], ids=["production", "development"])
async def test_a_launch_under_way_takes_over_what_is_started_by_hand(*, keep: bool) -> None:
    """It is the job, and is not stopped for being one too many."""
    async with a_world(keep=keep) as world:
        container = _begun(world, "a-1-1" if keep else "a-1")
        question = world.faults.hold("list" if keep else "create")
        launch = world.launching("a-1")
        await question.reached()
        world.host.start(container.id)
        await pass_time(0.2)
        question.release()
        await launch
        await pass_time()
        assert is_live(container)
        assert {"a-1": "running"} == world.states()
        assert [] == world.logged("job.surplus")


@pytest.mark.parametrize("keep", [False, True], ids=["production", "development"])
async def test_a_kill_of_a_launch_kills_what_that_has_taken_over(*, keep: bool) -> None:
    async with a_world(started=False, adopt=True, keep=keep) as world:
        container = _inherited(world, "a-1")
        world.faults.fail("inspect", EngineTimeout("late"), times=2)
        await _start(world)
        question = world.faults.hold("list" if keep else "create")
        launch = world.launching("a-1")
        await question.reached()
        stop = world.faults.hold("stop")
        kill, next_launch = world.killing("a-1"), world.launching("a-1")
        question.release()
        await launch
        await stop.reached()
        await pass_time(1)  # in which the next launch would find it running
        assert not next_launch.done
        stop.release()
        await kill
        assert not is_live(container)
        await next_launch
        (exited,) = world.logged("job.exited")
        assert "killed" == exited["outcome"]
        assert {"launches": 1, "dedups": 1, "kills": 2, "exits": 1} == world.counted()


async def test_its_failure_is_counted_and_logged_once(adopting: World) -> None:
    world = adopting
    _inherited(world, "a-1")
    world.faults.fail("inspect", EngineTimeout("late"), times=2)
    await _start(world)
    question = world.faults.hold("create")
    world.launching("a-1")
    await question.reached()
    world.faults.fail("stop", EngineRefused("cannot"))
    kill = world.killing("a-1")
    question.release()
    assert 502 == await kill.answer()
    assert {"a-1": "running"} == world.states()
    assert {"not_running": 1, "failed": 1} == world.outcomes("supervisor_kills_total")
    assert {"dedups": 1, "kills": 2, "failures": 1} == world.counted()
    assert 1 == len(world.logged("request.failed"))


async def test_an_exit_just_before_a_launch_takes_over_is_noticed(world: World) -> None:
    container = _begun(world, "a-1")
    question = world.faults.hold("create")
    launch = world.launching("a-1")
    await question.reached()
    world.host.start(container.id)
    await pass_time(0.2)
    look = world.faults.hold("inspect", after=True)
    question.release()
    await look.reached()
    world.host.exit(container.id, 1)
    await pass_time(0.1)
    look.release()
    await launch
    await until(lambda: world.states() == {})
    (exited,) = world.logged("job.exited")
    assert "error" == exited["outcome"]  # it has ended by itself, and the Engine was there


async def test_an_exit_while_a_comparison_takes_a_container_over_is_noticed(world: World) -> None:
    listeners = list(world.host.listeners)
    world.host.listeners.clear()
    container = _inherited(world, "a-1")  # whose start is not reported
    world.host.listeners.extend(listeners)
    look = world.faults.hold("inspect", after=True)
    await look.reached()
    world.host.exit(container.id, 1)
    await pass_time(0.1)
    look.release()
    await until(lambda: bool(world.logged("job.exited")))
    (exited,) = world.logged("job.exited")
    assert "error" == exited["outcome"]
    assert ({}, []) == (world.states(), world.left())


async def test_in_development_a_launch_finds_what_the_start_could_not_look_at() -> None:
    """Counted names keep no two apart, as the identifier itself does in production."""
    async with a_world(started=False, adopt=True, keep=True) as world:
        container = _inherited(world, "a-1")
        world.faults.fail("inspect", EngineTimeout("late"), times=2)
        await _start(world)
        assert {} == world.states()
        await world.launch("a-1")
        assert [container.id] == [each.id for each in world.host.live]
        assert {"a-1": "running"} == world.states()
        assert {"dedups": 1} == world.counted()


async def test_in_development_a_launch_runs_where_the_listing_is_older_than_an_exit() -> None:
    async with a_world(started=False, keep=True) as world:
        await _start(world)
        container = _inherited(world, "a-1")
        world.host.exit(container.id, 1)
        container.unsettled = True
        await world.launch("a-1")
        assert {"launches": 1} == world.counted()
        assert 2 == len(world.left())


async def test_development_leaves_what_has_exited() -> None:
    async with a_world(started=False, adopt=True, keep=True) as world:
        container = _inherited(world, "a-1")
        world.host.exit(container.id, 1)
        await _start(world)
        await pass_time(_ORPHAN_GRACE + 2 * _COMPARED)
        assert ["a-1"] == world.left()
        assert [] == world.logged("job.exited")


async def test_of_two_that_may_not_be_two_the_newer_one_runs_on(adopting: World) -> None:
    job = {"name": "timer", "identifier": "a-1"}
    old = adopting.put("a-1-old", dict(labels_of(a_job("1" * 16, **job), "default")))
    new = adopting.put("a-1", dict(labels_of(a_job("2" * 16, **job), "default")))
    old.created_at -= 10
    await _start(adopting)
    await until(lambda: ["a-1"] == adopting.left() == adopting.running())
    assert [new.id] == [job.workload_id for job in adopting.supervisor.list_jobs()]
    assert 1 == len(adopting.logged("job.surplus"))


async def test_of_two_of_one_launch_the_older_one_is_the_job(adopting: World) -> None:
    """The other one is run from a snapshot of it, with all of its labels."""
    job = _inherited(adopting, "a-1")
    copy = adopting.put("debugging", dict(job.spec.labels))
    job.created_at -= 10
    await _start(adopting)
    assert [job.id] == [job.workload_id for job in adopting.supervisor.list_jobs()]
    await adopting.kill("a-1")
    assert [copy] == adopting.host.live


async def test_of_two_launches_the_newer_one_runs_on_also_beside_a_copy_of_the_older_one(
    adopting: World,
) -> None:
    older, newer = (
        _inherited(adopting, "a-1", "1" * 16),
        adopting.put("a-1-new", dict(labels_of(a_job("2" * 16, identifier="a-1"), "default"))),
    )
    adopting.put("debugging", dict(older.spec.labels))
    older.created_at, newer.created_at = older.created_at - 20, newer.created_at - 10
    await _start(adopting)
    await until(lambda: older not in adopting.host.live)
    assert [newer.id] == [job.workload_id for job in adopting.supervisor.list_jobs()]
    assert newer in adopting.host.live


async def test_what_is_paused_is_taken_over_as_such(adopting: World) -> None:
    adopting.host.pause(_inherited(adopting, "a-1").id)
    await _start(adopting)
    assert {"a-1": "paused"} == adopting.states()
    assert ["a-1"] == [event["identifier"] for event in adopting.logged("job.paused")]


async def test_without_a_launch_id_nothing_is_a_job_and_no_orphan_hides_behind_it(
    adopting: World,
) -> None:
    live = {_inherited(adopting, name, "").id for name in ("a-1", "a-3")}
    _created(adopting, "a-2").spec.labels.pop(LAUNCH_LABEL)  # type: ignore[attr-defined]
    await _start(adopting)
    await pass_time()
    assert {} == adopting.states()
    assert ["a-1", "a-3"] == adopting.running()
    assert live == {event["container_id"] for event in adopting.logged("container.unreadable")}
    (orphan,) = adopting.logged("orphan.found")
    assert ("timer", "a-2", "created") == (orphan["job"], orphan["identifier"], orphan["status"])
    unreadable = adopting.logged("container.unreadable")
    assert {"a-1", "a-3"} == {event["identifier"] for event in unreadable}


async def test_a_job_that_the_catalogue_does_not_know_any_more_is_taken_over_all_the_same(
    adopting: World,
) -> None:
    job = a_job("1" * 16, name="of-yesterday", identifier="a-1")
    adopting.put("a-1", dict(labels_of(job, "default")))
    await _start(adopting)
    assert {"a-1": "running"} == adopting.states()
    assert 1 == adopting.metric("supervisor_jobs_running", job_name="unknown")
    assert 404 == await adopting.launching("a-1", "of-yesterday").answer()
    await adopting.launch("a-1")  # a dedup: the identifier alone counts
    await adopting.kill("a-1")
    assert [] == adopting.left()


async def test_strangers_are_left_alone(adopting: World) -> None:
    adopting.put("b-1")
    adopting.put("b-2", dict(labels_of(a_job(identifier="a-1"), "another")))
    await _start(adopting)
    assert {} == adopting.states()
    assert ["b-1", "b-2"] == adopting.running()


async def test_what_was_never_started_makes_way_for_a_launch(adopting: World) -> None:
    _created(adopting, "a-1")
    await _start(adopting)
    await adopting.launch("a-1")
    assert ["a-1"] == adopting.running() == adopting.left()


async def test_a_supervisor_that_is_killed_and_starts_again_loses_nothing() -> None:
    async with a_world(adopt=True) as world:
        for number in range(5):
            await world.launch(f"a-{number}")
        async with a_world(started=False, adopt=True) as next_one:
            for container in world.host.containers:
                next_one.host._containers[container.id] = container
            await _start(next_one)
            assert world.states() == next_one.states()


# Orphans


def _created(world: World, name: str) -> Container:
    """A container whose start never came."""
    container = _inherited(world, name)
    world.host._containers[container.id].status = type(container.status).CREATED
    return container


async def test_an_orphan_is_removed_after_its_grace(world: World) -> None:
    _created(world, "a-1")
    await pass_time(_COMPARED)
    assert 1 == world.metric("supervisor_orphans")
    assert ["a-1"] == world.left()
    await pass_time(_ORPHAN_GRACE - _COMPARED)
    assert ["a-1"] == world.left()
    removed = "supervisor_orphans_removed_total"
    await until(lambda: not world.left(), within=2 * _COMPARED)
    await pass_time(1)
    assert 1 == world.metric(removed)
    await pass_time(_COMPARED)
    assert 0 == world.metric("supervisor_orphans")
    assert 1 == len(world.logged("orphan.found"))


async def test_a_removal_whose_answer_is_lost_is_told_and_counted(world: World) -> None:
    _created(world, "a-1")
    world.faults.fail("remove", EngineUnavailable("cut off"), after=True)
    await until(lambda: not world.left(), within=_ORPHAN_GRACE + 2 * _COMPARED)
    await until(lambda: bool(world.logged("janitor.removed")), within=5)
    assert 1 == world.metric("supervisor_orphans_removed_total")


async def test_a_dry_run_only_tells_of_orphans() -> None:
    async with a_world(orphan_dry_run=True) as world:
        _created(world, "a-1")
        await pass_time(_ORPHAN_GRACE + 3 * _COMPARED)
        assert ["a-1"] == world.left()
        assert 1 == world.metric("supervisor_orphans")
        assert 1 == len(world.logged("orphan.found"))


async def test_what_starts_after_all_is_a_job_and_no_orphan(world: World) -> None:
    container = _created(world, "a-1")
    await pass_time(_COMPARED)
    world.host.start(container.id)
    await pass_time(_ORPHAN_GRACE + _COMPARED)
    assert {"a-1": "running"} == world.states()
    assert is_live(container)


async def test_what_has_run_since_the_listing_is_no_orphan() -> None:
    async with a_world(keep=True, orphan_grace_seconds=0) as world:
        await pass_time(_COMPARED / 2)
        start = world.faults.hold("start")
        launch = world.launching("a-1")
        await start.reached()
        listing = world.faults.hold("list", after=True)
        await listing.reached()
        start.release()
        await launch
        world.host.exit(world.container("a-1-1").id, 0)
        await until(lambda: not world.states())
        listing.release()
        await pass_time()
        assert [] == world.logged("orphan.found")
        assert ["a-1-1"] == world.left()


async def test_an_orphan_that_the_engine_will_not_remove_is_tried_again(world: World) -> None:
    _created(world, "a-1")
    refuse_removal(world)
    await pass_time(_ORPHAN_GRACE + _COMPARED)
    assert ["a-1"] == world.left()
    await pass_time(2 * _COMPARED)
    assert [] == world.left()


# A second supervisor of the same instance


async def test_beside_another_supervisor_of_the_instance_nothing_is_touched(
    unstarted: World,
) -> None:
    unstarted.put("its-supervisor", {SERVES_LABEL: "default"})
    container = _inherited(unstarted, "a-1")
    with pytest.raises(StartError, match=r"SUPERVISOR_INSTANCE=default: .*'its-supervisor'"):
        await unstarted.watcher.run()
    assert is_live(container)
    assert not unstarted.readiness.ready


@pytest.mark.parametrize("labels", [{SERVES_LABEL: "another"}, {}])
async def test_other_supervisors_do_not_matter(unstarted: World, labels: dict[str, str]) -> None:
    unstarted.put("supervisor", labels)
    await _start(unstarted)


async def test_one_that_has_stopped_does_not_matter(unstarted: World) -> None:
    unstarted.host.exit(unstarted.put("old", {SERVES_LABEL: "default"}).id, 0)
    await _start(unstarted)


async def test_what_may_be_itself_is_no_reason_to_refuse(unstarted: World) -> None:
    unstarted.put("it-or-another", {SERVES_LABEL: "default"})
    unstarted.engine.unclear = True
    await _start(unstarted)
    assert ["it-or-another"] == [e["container_name"] for e in unstarted.logged("rival.unclear")]


async def test_of_two_that_may_be_itself_one_is_another(unstarted: World) -> None:
    for number, name in enumerate(("one", "two")):
        unstarted.put(name, {SERVES_LABEL: "default"}).started_at += number
    unstarted.engine.unclear = True
    with pytest.raises(StartError, match=r"one at least of the containers 'one', 'two' is another"):
        await unstarted.watcher.run()


async def test_who_knows_its_container_knows_that_another_is_not_it(unstarted: World) -> None:
    unstarted.put("its-supervisor", {SERVES_LABEL: "default"})
    unstarted.engine.own_id = "ab" * 32
    with pytest.raises(StartError, match="'its-supervisor'"):
        await unstarted.watcher.run()


@pytest.mark.parametrize(("age", "starts"), [(-10, False), (10, True)])
async def test_of_two_the_one_that_was_started_first_wins(
    unstarted: World, age: float, starts: bool
) -> None:
    """Whichever container was made first: it may have been started again just now."""
    ours = unstarted.put("ours", {SERVES_LABEL: "default"})
    theirs = unstarted.put("theirs", {SERVES_LABEL: "default"})
    theirs.started_at = ours.started_at + age
    theirs.created_at = ours.created_at - age
    unstarted.engine.own_id = ours.id
    unstarted.watch()
    await pass_time(NOTICE)
    assert starts == unstarted.readiness.ready
    if not starts:
        assert unstarted._watching is not None
        assert isinstance(unstarted._watching.exception(), StartError)
        unstarted._watching = None
