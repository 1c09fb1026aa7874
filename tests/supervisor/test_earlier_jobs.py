"""What the history says of jobs of an earlier run, which the start has removed."""

from collections.abc import AsyncIterator

import pytest

from observability.callers import Caller
from service.errors import EngineTimeout, NoSuchJob
from service.jobs.model import Job, Outcome, State
from service.jobs.workload import labels_of
from tests.fake_engine.engine import digest_of
from tests.fake_engine.host import Container
from tests.supervisor.world import World, a_world
from tests.support.samples import a_job

_LAUNCH = "1" * 16
_CREATED = 1_700_000_000.25


@pytest.fixture
async def removing() -> AsyncIterator[World]:
    """A supervisor in production that has not started yet; the history has a thread."""
    async with a_world(started=False, real_time=True) as world:
        yield world


def left(world: World, *, started: bool = True, **facts: object) -> Container:
    """The container of a job that an earlier run has launched."""
    by = Caller(client="backend")
    job = a_job(_LAUNCH, identifier="t-1", launched_by=by, created_at=_CREATED, **facts)
    return world.put("t-1", dict(labels_of(job, "default")), started=started)


async def after_the_start(world: World) -> Job:
    world.watch()
    await world.ready()
    assert not world.exists("t-1")
    return await world.observer.jobs.get(launch_id=_LAUNCH)


async def test_what_the_start_ends_was_killed(removing: World) -> None:
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


async def test_what_has_ended_while_nobody_was_there_is_lost_or_has_done_its_work(
    removing: World,
) -> None:
    container = left(removing)
    container.say("oh")
    removing.host.exit(container.id, 3)
    job = await after_the_start(removing)
    assert (Outcome.LOST, 3) == (job.outcome, job.exit_code)
    assert "oh" == job.last_lines.splitlines()[-1]


async def test_what_had_to_end_and_did_is_a_success(removing: World) -> None:
    removing.host.exit(left(removing, ends=True).id, 0)
    assert Outcome.SUCCESS is (await after_the_start(removing)).outcome


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
        world.host.exit(left(world).id, 3)
        with pytest.raises(NoSuchJob):
            await after_the_start(world)
