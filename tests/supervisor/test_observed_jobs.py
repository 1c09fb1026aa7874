"""What GetJob and ListJobs of the API to observe find."""

import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service._generated.supervisor.v1.observer_pb2 import GetJobRequest, ListJobsRequest
from service.access.clients import ALL_JOBS, JobScope
from service.api.observer_service import ObserverService
from service.errors import EngineUnavailable, InvalidRequest, NoSuchJob
from service.jobs.model import Job, Outcome, State
from service.jobs.wanted import EVERY_JOB, Wanted
from service.observe import jobs
from service.observe.places import Include, Place
from tests.fake_engine.engine import digest_of
from tests.supervisor.world import World, a_world, until
from tests.unit.api.test_jobs_service import Aborted, Context


async def listed(
    world: World,
    include: Include = "live",
    wanted: Wanted = EVERY_JOB,
    *,
    after: Place | None = None,
    scope: JobScope = ALL_JOBS,
) -> Sequence[str]:
    """The identifiers."""
    every = world.observer.jobs.each(include, wanted, after=after, scope=scope)
    return [placed.job.identifier async for placed in every]


def the_job(world: World, identifier: str) -> Job:
    (job,) = world.registry.of(identifier)
    return job


def inspections(world: World) -> int:
    return world.engine.calls["inspect"]


# One job


async def test_a_live_job_is_found_by_its_launch_and_by_its_identifier(world: World) -> None:
    await world.launch("t-1")
    job = the_job(world, "t-1")
    found = await world.observer.jobs.get(launch_id=job.launch_id)
    assert (job.launch_id, "t-1", State.RUNNING) == (found.launch_id, found.identifier, found.state)
    assert found == await world.observer.jobs.get(identifier="t-1")


async def test_of_an_identifier_the_newest_launch_is_found(world: World) -> None:
    for _ in range(2):
        await world.launch("m-1", "mail")
    newest = world.registry.of("m-1")[-1]
    assert newest.launch_id == (await world.observer.jobs.get(identifier="m-1")).launch_id


@pytest.mark.parametrize("asked", [{"launch_id": "0" * 16}, {"identifier": "nobody"}])
async def test_what_is_not_there_is_not_found(world: World, asked: dict[str, Any]) -> None:
    with pytest.raises(NoSuchJob, match=f"{next(iter(asked))}: '.*' is that of no live job"):
        await world.observer.jobs.get(**asked)


async def test_a_question_about_nothing_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequest, match="launch_id, identifier: are empty"):
        await world.observer.jobs.get()


async def test_the_engine_is_asked_once_for_what_the_image_was(world: World) -> None:
    await world.launch("t-1")
    before = inspections(world)
    for _ in range(2):
        job = await world.observer.jobs.get(identifier="t-1")
        assert digest_of("worker") == job.image_digest
    assert 1 == inspections(world) - before


async def test_an_engine_that_is_away_or_hangs_does_not_keep_a_job_from_being_told(
    world: World,
) -> None:
    await world.launch("t-1")
    world.engine.hang()
    assert "" == (await world.observer.jobs.get(identifier="t-1")).image_digest
    world.engine.wake()
    world.engine.go_away()
    assert "" == (await world.observer.jobs.get(identifier="t-1")).image_digest


async def test_who_may_not_touch_a_job_does_not_find_it(world: World) -> None:
    await world.launch("t-1")
    scope = JobScope(["mail"])
    launch_id = the_job(world, "t-1").launch_id
    questions: list[dict[str, Any]] = [{"identifier": "t-1"}, {"launch_id": launch_id}]
    for asked in questions:
        with pytest.raises(NoSuchJob):
            await world.observer.jobs.get(**asked, scope=scope)
    assert [] == await listed(world, scope=scope)
    assert ["t-1"] == await listed(world, scope=JobScope(["tim*"]))


@pytest.fixture
async def in_real_time() -> AsyncIterator[World]:
    """A supervisor that does not follow its Engine yet; the history has a thread."""
    async with a_world(started=False, real_time=True) as world:
        yield world


async def test_before_the_first_listing_nothing_is_known_of_live_jobs(in_real_time: World) -> None:
    jobs = in_real_time.observer.jobs
    questions: list[dict[str, Any]] = [{"identifier": "t-1"}, {"launch_id": "0" * 16}]
    for asked in questions:
        with pytest.raises(EngineUnavailable):
            await jobs.get(**asked)
    for include in ("live", "both"):
        with pytest.raises(EngineUnavailable):
            await listed(in_real_time, include)
    assert [] == await listed(in_real_time, "ended")


# Many


async def test_jobs_are_listed_in_the_order_of_their_launch(world: World) -> None:
    for identifier in ("c", "a", "b"):
        await world.launch(identifier)
    assert ["c", "a", "b"] == await listed(world)


@pytest.mark.parametrize(
    ("wanted", "identifiers"),
    [
        (Wanted(name="timer"), {"t-1", "t-2"}),
        (Wanted(name="*"), {"t-1", "t-2", "m-1"}),
        (Wanted(identifier_prefix="t-"), {"t-1", "t-2"}),
        (Wanted(state=State.PAUSED), {"t-2"}),
        (Wanted(since=1e12), set()),
    ],
)
async def test_only_what_is_wanted_is_listed(
    world: World, wanted: Wanted, identifiers: Collection[str]
) -> None:
    for identifier, name in (("t-1", "timer"), ("t-2", "timer"), ("m-1", "mail")):
        await world.launch(identifier, name)
    world.reaper.note_pause(the_job(world, "t-2").launch_id, paused=True)
    assert identifiers == set(await listed(world, wanted=wanted))


async def test_pages_stay_right_while_jobs_come_and_go(world: World) -> None:
    for number in range(4):
        await world.launch(f"t-{number}")
    every = world.observer.jobs.each("live", EVERY_JOB)
    second = [placed.place async for placed in every][1]
    await world.kill("t-0")
    await world.kill("t-1")
    await world.launch("t-4")
    assert ["t-2", "t-3", "t-4"] == await listed(world, after=second)
    await world.killing_all()
    assert [] == await listed(world, after=second)


async def test_what_the_image_was_is_known_of_every_job_after_a_comparison(world: World) -> None:
    for number in range(120):
        await world.launch(f"t-{number}")
    await until(lambda: all(job.image_digest for job in world.registry.jobs()), within=40)
    assert {digest_of("worker")} == {job.image_digest for job in world.registry.jobs()}


# Ended ones


@pytest.fixture
async def lasting(tmp_path: Path) -> AsyncIterator[World]:
    """A supervisor with its history in a file, in real time: that has threads."""
    async with a_world(real_time=True, history_file=tmp_path / "history.sqlite") as world:
        world.history.start()
        yield world
        await world.history.close(within=2.0)


async def end(world: World, identifier: str, code: int = 3, *lines: str) -> Job:
    """A job that ends by itself; as the history has it."""
    await world.launch(identifier)
    job = the_job(world, identifier)
    for line in lines:
        world.container(identifier).say(line)
    world.host.exit(world.container(identifier).id, code)
    await until(lambda: not world.registry.of(identifier))
    return await world.observer.jobs.get(launch_id=job.launch_id)


async def test_a_job_that_has_ended_is_told_with_how_it_has_ended(lasting: World) -> None:
    began = time.time()
    job = await end(lasting, "t-1", 3, "oh", "no")
    assert (State.GONE, Outcome.ERROR, 3) == (job.state, job.outcome, job.exit_code)
    assert ["oh", "no"] == job.last_lines.splitlines()[-2:]
    assert job.started_at
    assert job.ended_at
    assert began <= job.created_at <= job.started_at <= job.ended_at <= time.time()
    assert digest_of("worker") == job.image_digest


async def test_of_an_identifier_a_live_launch_comes_before_those_that_have_ended(
    lasting: World,
) -> None:
    get = lasting.observer.jobs.get
    first, second = await end(lasting, "t-1"), await end(lasting, "t-1", 4)
    assert second.launch_id == (await get(identifier="t-1")).launch_id
    await lasting.launch("t-1")
    assert State.RUNNING is (await get(identifier="t-1")).state
    assert first.launch_id == (await get(launch_id=first.launch_id)).launch_id


async def test_a_launch_that_has_failed_leaves_nothing_behind(lasting: World) -> None:
    assert 422 == await lasting.launching("m-1", "missing").answer()
    with pytest.raises(NoSuchJob):
        await lasting.observer.jobs.get(identifier="m-1")
    assert [] == await listed(lasting, "both")


async def test_ended_jobs_are_listed_newest_first_and_after_all_live_ones(lasting: World) -> None:
    for identifier in ("e-1", "e-2", "e-3"):
        await end(lasting, identifier, 0 if identifier == "e-2" else 3)
    for identifier in ("t-1", "t-2"):
        await lasting.launch(identifier)
    ended = ["e-3", "e-2", "e-1"]
    assert ended == await listed(lasting, "ended")
    assert ["t-1", "t-2", *ended] == await listed(lasting, "both")
    assert ["t-1", "t-2"] == await listed(lasting, "live")
    failed = Wanted(outcome=Outcome.ERROR)
    assert ["e-3", "e-1"] == await listed(lasting, "both", failed)
    assert [] == await listed(lasting, "live", failed)
    assert ended == await listed(lasting, "both", Wanted(state=State.GONE))
    assert [] == await listed(lasting, "ended", scope=JobScope(["mail"]))


async def test_pages_through_live_and_ended_jobs_have_each_of_them_while_they_come_and_go(
    lasting: World,
) -> None:
    for number in range(3):
        await end(lasting, f"e-{number}")
    for number in range(3):
        await lasting.launch(f"t-{number}")
    seen, after = list[str](), None
    for step in range(20):
        every = lasting.observer.jobs.each("both", EVERY_JOB, after=after)
        async with aclosing(every):
            placed = await anext(every, None)
        if placed is None:
            break
        seen.append(placed.job.identifier)
        after = placed.place
        if step == 0:  # one that the client knows, and one that it does not
            await lasting.kill("t-0")
            await lasting.kill("t-2")
            await lasting.launch("t-3")
    assert ["t-0", "t-1", "t-3", "t-2", "t-0", "e-2", "e-1", "e-0"] == seen


async def test_more_ended_jobs_than_are_read_at_a_time_are_listed(
    lasting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_ROWS", 2)
    for number in range(5):
        await end(lasting, f"e-{number}")
    assert [f"e-{number}" for number in range(4, -1, -1)] == await listed(lasting, "ended")


# Odd questions

_ODD = (
    "",
    "\0",
    "*",
    "%",
    "_",
    "'; DROP TABLE ended; --",
    "é/世界 1",
    "t-1",
    "x" * 200_000,
    "\U0010ffff",
)
_TIMES = (0, -1, -(2**63), 2**63 - 1, 1_700_000_000)


def an_odd_list(chance: random.Random, token: str) -> ListJobsRequest:
    odd = partial(chance.choice, _ODD)
    request = ListJobsRequest(
        include=chance.choice(("", "live", "ended", "both", "all")),
        name=odd(),
        identifier_prefix=odd(),
        state=chance.choice(("", "", "running", "gone", odd())),
        outcome=chance.choice(("", "", "error", odd())),
        page_size=chance.choice((0, 1, 2, 1000, -1, 2**31 - 1)),
        page_token=chance.choice(("", token, token[::-1], odd())),
    )
    if chance.random() < 0.3:
        request.since.seconds = chance.choice(_TIMES)
        request.since.nanos = chance.choice((0, -1, 2**31 - 1))
    return request


async def test_whatever_is_asked_is_answered_or_refused_with_a_reason(lasting: World) -> None:
    for identifier in ("e-1", "e-2"):
        await end(lasting, identifier)
    for identifier in ("t-1", "é"):
        await lasting.launch(identifier)
    service, chance, token = ObserverService(lasting.observer), random.Random(0), ""
    answers: Counter[str] = Counter()
    for _ in range(400):
        try:
            answer = await service.ListJobs(an_odd_list(chance, token), Context())
            token = answer.next_page_token or token
            answers["OK"] += 1
        except Aborted as refused:
            answers[refused.args[0]] += 1
        asked = {chance.choice(("launch_id", "identifier")): chance.choice(_ODD)}
        try:
            await service.GetJob(GetJobRequest(**asked), Context())
        except Aborted as refused:
            answers[refused.args[0]] += 1
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} == set(answers)
    assert answers["OK"] > 20
