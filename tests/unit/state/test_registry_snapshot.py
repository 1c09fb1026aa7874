"""What a listing confirms of the jobs that were known when it was asked for."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from service.engine.workloads import Health, Status, Workload
from service.jobs.labels import LAUNCH_LABEL
from service.jobs.model import Job, Kind
from service.jobs.observations import (
    ExitSeen,
    HealthSeen,
    ImageSeen,
    KillIntended,
    Observation,
    PauseSeen,
    Started,
)
from service.jobs.transitions import advance
from service.state.registry_snapshot import JobTable, Snapshot

JOB = advance(
    Job(launch_id="l-1", name="timer", identifier="a-1", kind=Kind.ACTION), Started("c-1", 0.0)
)
LISTED = Workload(
    id="c-1", name="a-1", status=Status.LIVE, labels={LAUNCH_LABEL: "l-1"}, created_at=0.0
)


def snapshot(*observations: Observation) -> Snapshot:
    job = JOB
    for observation in observations:
        job = advance(job, observation)
    return Snapshot([{job.launch_id: job}])


@pytest.mark.parametrize(
    ("known", "listed"),
    [
        (snapshot(), LISTED),
        (snapshot(PauseSeen(paused=True)), replace(LISTED, paused=True)),
        (snapshot(KillIntended()), LISTED),
        (snapshot(), replace(LISTED, status=Status.UNKNOWN)),  # which says nothing
    ],
)
def test_what_is_as_it_should_be_is_confirmed(known: Snapshot, listed: Workload) -> None:
    assert known.confirms(listed)
    assert [] == known.unconfirmed


@pytest.mark.parametrize(
    ("known", "listed"),
    [
        (snapshot(), replace(LISTED, status=Status.EXITED)),
        (snapshot(), replace(LISTED, paused=True)),
        (snapshot(ExitSeen()), LISTED),
        (snapshot(), replace(LISTED, id="c-2")),  # made of a snapshot of the job's container
        (snapshot(), replace(LISTED, aside=True)),
        (snapshot(), replace(LISTED, labels={})),
    ],
)
def test_what_is_otherwise_is_not(known: Snapshot, listed: Workload) -> None:
    assert not known.confirms(listed)
    assert ["l-1"] == [job.launch_id for job in known.unconfirmed]


def test_what_its_image_is_is_told_once() -> None:
    told = replace(LISTED, image_digest="sha256:1")
    for known, images in (
        (snapshot(), {"l-1": ImageSeen("c-1", "sha256:1")}),
        (snapshot(ImageSeen("c-1", "sha256:1")), {}),
        (snapshot(ExitSeen()), {}),
    ):
        known.confirms(told)
        assert images == known.images


def test_a_job_that_is_not_listed_is_not_confirmed() -> None:
    assert [advance(JOB, ExitSeen())] == snapshot(ExitSeen()).unconfirmed


def test_a_job_without_a_container_is_not_expected_in_a_listing() -> None:
    starting = replace(JOB, workload_id=None)
    known = Snapshot([{"l-1": starting}])
    assert [] == known.unconfirmed
    assert known.has_workload(LISTED)
    assert not known.has_workload(replace(LISTED, labels={LAUNCH_LABEL: "l-2"}))


def test_a_job_has_one_container() -> None:
    assert snapshot().has_workload(LISTED)
    assert not snapshot().has_workload(replace(LISTED, id="c-2"))


@pytest.mark.parametrize(
    ("known", "listed", "confirmed"),
    [
        ((), Health.UNKNOWN, True),
        ((), Health.HEALTHY, True),
        ((), Health.STARTING, True),
        ((), Health.UNHEALTHY, False),
        ((HealthSeen(unhealthy=True),), Health.UNHEALTHY, True),
        ((HealthSeen(unhealthy=True),), Health.HEALTHY, False),
        ((HealthSeen(unhealthy=True),), Health.UNKNOWN, True),
    ],
)
def test_a_health_that_differs_is_not_confirmed_where_the_listing_tells_it(
    known: Sequence[Observation], listed: Health, confirmed: bool
) -> None:
    assert confirmed == snapshot(*known).confirms(replace(LISTED, health=listed))


def test_a_job_that_waits_for_its_health_is_not_confirmed_once_it_is_healthy() -> None:
    waiting = advance(
        Job(launch_id="l-1", name="x", identifier="a-1", kind=Kind.ACTION, ready_within=60.0),
        Started("c-1", 0.0),
    )
    for health in (Health.STARTING, Health.HEALTHY):
        known = Snapshot([{waiting.launch_id: waiting}])
        assert (health is Health.STARTING) == known.confirms(replace(LISTED, health=health))


def test_a_snapshot_stays_as_it_was_while_the_jobs_of_its_table_change() -> None:
    table, jobs = JobTable(), [replace(JOB, launch_id=f"l-{n}", number=n) for n in range(3_000)]
    for job in reversed(jobs):
        table.put(job)
    before = table.snapshot()
    table.put(replace(jobs[7], paused=True))
    table.remove("l-8")
    between = table.snapshot()
    table.put(replace(jobs[7], paused=False))
    table.put(replace(JOB, launch_id="l-3000", number=3_000))
    assert jobs == before.unconfirmed
    assert before.confirms(replace(LISTED, labels={LAUNCH_LABEL: "l-9"}))
    assert [*jobs[:9], *jobs[10:]] == before.unconfirmed
    assert [*jobs[:7], replace(jobs[7], paused=True), *jobs[9:]] == between.unconfirmed
    assert 3_000 == len(table.snapshot().unconfirmed)
