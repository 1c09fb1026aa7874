"""What the history and the backend are told of jobs of an earlier run that the start removes."""

from collections.abc import AsyncIterator

import pytest

from observability.callers import Caller
from service.errors import EngineFailed, EngineTimeout, NoSuchJob
from service.jobs.labels import labels_of, restart_labels
from service.jobs.model import Job, Outcome, State
from service.jobs.restart_policy import RestartPolicy, Restarts
from tests.fake_engine.engine import digest_of
from tests.fake_engine.host import Container
from tests.supervisor.told import Told, reports_to
from tests.supervisor.world import World, a_world, until
from tests.support.samples import a_job

_LAUNCH = "1" * 16
_CREATED = 1_700_000_000.25
_POLICY = RestartPolicy("end", 5, 600.0, 1.0, 300.0)
_RESTARTS = Restarts(1, 1, _CREATED, 1)


@pytest.fixture
async def removing() -> AsyncIterator[World]:
    """A supervisor in production that has not started yet; the history has a thread."""
    async with a_world(started=False, real_time=True) as world:
        yield world


@pytest.fixture
def told(removing: World) -> Told:
    """The backend that is told of its crashes."""
    backend = Told()
    reports_to(backend, removing)
    return backend


def left(world: World, *, started: bool = True, again: bool = False, **facts: object) -> Container:
    """The container of a job that an earlier run has launched, or begun again."""
    by = Caller(client="backend")
    job = a_job(_LAUNCH, identifier="t-1", launched_by=by, created_at=_CREATED, **facts)
    labels = {**labels_of(job, "default"), **(restart_labels(_RESTARTS) if again else {})}
    return world.put("t-1", labels, started=started)


def left_to_be_started_again(world: World) -> Container:
    """The container of a job that has exited, and has made room for its successor."""
    container = left(world, restart=_POLICY)
    world.host.exit(container.id, 3)
    world.host.free_name_of(container.id)
    return container


async def after_the_start(world: World) -> Job:
    world.watch()
    await world.ready()
    assert [] == world.left()
    return await world.observer.jobs.get(launch_id=_LAUNCH)


async def test_what_the_start_ends_was_killed(removing: World, told: Told) -> None:
    container = left(removing)
    job = await after_the_start(removing)
    assert (State.GONE, Outcome.KILLED, 143) == (job.state, job.outcome, job.exit_code)
    assert ("t-1", "backend", _CREATED) == (job.identifier, job.client, job.created_at)
    assert (container.id, "t-1", digest_of("worker")) == (
        job.workload_id,
        job.workload_name,
        job.image_digest,
    )
    assert container.started_at == job.started_at
    assert job.ended_at == container.ended_at
    assert [] == told.identifiers


async def test_what_has_ended_while_nobody_was_there_is_lost_or_has_done_its_work(
    removing: World, told: Told
) -> None:
    container = left(removing)
    container.say("oh")
    removing.host.exit(container.id, 3)
    job = await after_the_start(removing)
    assert (Outcome.LOST, 3) == (job.outcome, job.exit_code)
    assert "oh" == job.last_lines.splitlines()[-1]
    await until(lambda: told.identifiers == ["t-1"])
    assert told.reasons[0].endswith("\noh")
    assert "the reason is not known" in told.reasons[0]


async def test_what_had_to_end_and_did_is_a_success(removing: World, told: Told) -> None:
    removing.host.exit(left(removing, ends=True).id, 0)
    assert Outcome.SUCCESS is (await after_the_start(removing)).outcome
    assert [] == told.identifiers


async def test_what_runs_again_has_not_ended_before(removing: World, told: Told) -> None:
    left_to_be_started_again(removing)
    again = left(removing, restart=_POLICY, again=True)
    job = await after_the_start(removing)
    assert (Outcome.KILLED, again.id, 1) == (job.outcome, job.workload_id, job.restarts.total)
    assert [] == told.identifiers


async def test_what_was_to_run_again_has_ended_with_the_run_before(
    removing: World, told: Told
) -> None:
    before = left_to_be_started_again(removing)
    left(removing, restart=_POLICY, again=True, started=False)
    job = await after_the_start(removing)
    assert (Outcome.LOST, 3, before.id) == (job.outcome, job.exit_code, job.workload_id)
    await until(lambda: told.identifiers == ["t-1"])


async def test_what_cannot_be_removed_is_left_to_the_next_start(
    removing: World, told: Told
) -> None:
    removing.host.exit(left(removing).id, 3)
    removing.faults.fail("remove", EngineTimeout("too long"))
    removing.faults.fail("set aside", EngineFailed("not permitted"))
    removing.watch()
    await removing.ready()
    assert (["t-1"], []) == (removing.left(), told.identifiers)
    with pytest.raises(NoSuchJob):
        await removing.observer.jobs.get(launch_id=_LAUNCH)


@pytest.mark.parametrize(("ran", "outcome"), [(True, Outcome.KILLED), (False, Outcome.LOST)])
async def test_what_is_removed_later_is_told_then_as_it_was_at_the_start(
    ran: bool, outcome: Outcome
) -> None:
    async with a_world(started=False, real_time=True, orphan_grace_seconds=0) as world:
        told = Told()
        reports_to(told, world)
        container = left(world)
        if not ran:
            world.host.exit(container.id, 3)
        world.faults.fail("remove", EngineTimeout("too long"))
        world.faults.fail("set aside", EngineFailed("not permitted"))
        world.watch()
        await world.ready()
        await until(lambda: [] == world.left())
        assert 1 == len(world.logged("janitor.failed"))
        assert outcome is (await _once_told(world)).outcome
        await until(lambda: told.identifiers == ([] if ran else ["t-1"]))


async def _once_told(world: World) -> Job:
    """The job, which the history gets right after the removal."""
    await until(lambda: bool(world.logged("janitor.removed")))
    return await world.observer.jobs.get(launch_id=_LAUNCH)


async def test_what_never_ran_is_no_job_that_has_ended(removing: World) -> None:
    left(removing, started=False)
    with pytest.raises(NoSuchJob):
        await after_the_start(removing)


async def test_what_the_engine_does_not_tell_is_removed_all_the_same(removing: World) -> None:
    left(removing)
    removing.faults.fail("inspect", EngineTimeout("too long"), after=False)
    with pytest.raises(NoSuchJob):
        await after_the_start(removing)


async def test_what_development_keeps_was_told_by_the_run_before() -> None:
    async with a_world(started=False, real_time=True, keep=True) as world:
        told = Told()
        reports_to(told, world)
        world.host.exit(left(world).id, 3)
        with pytest.raises(NoSuchJob):
            await after_the_start(world)
        assert [] == told.identifiers
