"""What the service for operators makes of requests, and of the jobs that it is given."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from service._generated.supervisor.v1.observer_pb2 import (
    GetJobRequest,
    ListJobsRequest,
    ListJobsResponse,
)
from service.access.clients import ALL_JOBS
from service.api.observer_service import ObserverService, wanted_of
from service.errors import EngineUnavailable, NoSuchJob, SupervisorError
from service.jobs.model import Job, Outcome, State
from service.jobs.wanted import EVERY_JOB, Wanted
from service.observe.jobs import Placed
from service.observe.observer import Observer
from service.observe.places import Include, Place, Tokens
from tests.support.samples import a_job
from tests.unit.api.test_jobs_service import Aborted, Context


class Recording:
    """What the service asks about jobs."""

    def __init__(self, jobs: Sequence[Job] = (), fails: SupervisorError | None = None) -> None:
        self._jobs, self._fails = jobs, fails
        self.tokens = Tokens("0" * 8)
        self.asked: list[Any] = []
        self.given = 0

    async def get(self, **asked: Any) -> Job:
        assert asked.pop("scope") is ALL_JOBS
        self.asked.append(asked)
        if self._fails:
            raise self._fails
        return self._jobs[0]

    async def each(
        self, include: Include, wanted: Wanted, *, after: Place | None, most: int, scope: object
    ) -> AsyncGenerator[Placed, None]:
        assert scope is ALL_JOBS
        self.asked.append((include, wanted))
        self.most = most
        if self._fails:
            raise self._fails
        begin = after.number if after else 0
        for number, job in enumerate(self._jobs[begin:], begin + 1):
            self.given += 1
            yield Placed(Place("live", number), job)


def servicer(recording: Recording) -> ObserverService:
    return ObserverService(cast("Observer", Observed(recording)))


class Observed:
    def __init__(self, jobs: Recording) -> None:
        self.jobs = jobs


async def listed(recording: Recording, **fields: Any) -> ListJobsResponse:
    return await servicer(recording).ListJobs(ListJobsRequest(**fields), Context())


async def refusal(recording: Recording, **fields: Any) -> tuple[str, str]:
    with pytest.raises(Aborted) as caught:
        await listed(recording, **fields)
    status, text = caught.value.args
    return status, text


def many(number: int, **facts: Any) -> list[Job]:
    return [a_job(str(each), **facts) for each in range(number)]


# One job


@pytest.mark.parametrize("asked", [{"launch_id": "a"}, {"identifier": "t-1"}, {}])
async def test_a_job_is_asked_for_by_one_of_two_fields(asked: dict[str, Any]) -> None:
    recording = Recording([a_job()])
    answer = await servicer(recording).GetJob(GetJobRequest(**asked), Context())
    assert "timer-1" == answer.identifier
    assert [{"launch_id": "", "identifier": ""} | asked] == recording.asked


async def test_an_error_ends_a_call_with_its_status_and_tells_when_to_try_again() -> None:
    context = Context()
    failing = servicer(Recording(fails=EngineUnavailable("away")))
    with pytest.raises(Aborted) as caught:
        await failing.GetJob(GetJobRequest(launch_id="a"), context)
    assert ("UNAVAILABLE", "away") == caught.value.args
    assert (("retry-after", "5"),) == context.trailing
    assert ("NOT_FOUND", "no") == await refusal(Recording(fails=NoSuchJob("no")))


# Lists


async def test_a_list_without_filters_is_of_all_live_jobs() -> None:
    recording = Recording(many(2))
    answer = await listed(recording)
    assert ["0", "1"] == [job.launch_id for job in answer.jobs]
    assert "" == answer.next_page_token
    assert [("live", EVERY_JOB)] == recording.asked


async def test_filters_are_read() -> None:
    recording = Recording()
    await listed(
        recording,
        include="both",
        name="t*",
        identifier_prefix="t-",
        state="gone",
        outcome="oom",
        since=Timestamp(seconds=100, nanos=500_000_000),
        ended_since=Timestamp(seconds=200),
        failed=True,
    )
    wanted = Wanted(
        name="t*",
        identifier_prefix="t-",
        state=State.GONE,
        outcome=Outcome.OOM,
        since=100.5,
        ended_since=200.0,
        failed=True,
    )
    assert [("both", wanted)] == recording.asked


def test_a_time_of_zero_is_not_the_same_as_none() -> None:
    assert wanted_of(ListJobsRequest(since=Timestamp())).since == 0.0
    assert wanted_of(ListJobsRequest()).since is None
    assert wanted_of(ListJobsRequest(ended_since=Timestamp())).ended_since == 0.0
    assert wanted_of(ListJobsRequest()).ended_since is None


_NO_TOKEN = (
    "page_token: 'x' is no token; allowed is the next_page_token of the page before, or nothing"
)

_NO_TIME = (
    "since: {} seconds and {} nanos are not a time; allowed are -62135596800 to 253402300799"
    " seconds, and 0 to 999999999 nanos"
)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"include": "all"}, "include: 'all' is none of live, ended, both"),
        ({"include": "Live"}, "include: 'Live' is none of live, ended, both"),
        (
            {"state": "dead"},
            f"state: 'dead' is none of {', '.join(State)}",
        ),
        (
            {"outcome": "failed"},
            "outcome: 'failed' is none of success, ended, error, oom, killed, lost, timed_out",
        ),
        ({"page_size": -1}, "page_size: is -1; allowed are 0 to 1000, and 0 is 100"),
        ({"page_size": 1001}, "page_size: is 1001; allowed are 0 to 1000, and 0 is 100"),
        ({"since": Timestamp(seconds=2**63 - 1)}, _NO_TIME.format(2**63 - 1, 0)),
        ({"since": Timestamp(seconds=7, nanos=-1)}, _NO_TIME.format(7, -1)),
        ({"ended_since": Timestamp(nanos=-1)}, "ended_" + _NO_TIME.format(0, -1)),
        ({"name": "x" * 1001}, "name: has 1001 characters; at most 1000 are allowed"),
        ({"page_token": "x"}, _NO_TOKEN),
    ],
)
async def test_a_wrong_field_is_named_with_what_is_allowed(
    fields: dict[str, Any], text: str
) -> None:
    assert ("INVALID_ARGUMENT", text) == await refusal(Recording(many(1)), **fields)


@pytest.mark.parametrize(
    ("size", "jobs", "pages"),
    [
        (0, 99, [99]),
        (0, 100, [100]),
        (0, 101, [100, 1]),
        (1, 2, [1, 1]),
        (1000, 1001, [1000, 1]),
        (3, 8, [3, 3, 2]),
        (3, 0, [0]),
    ],
)
async def test_pages_are_as_long_as_asked_and_the_last_one_has_no_token(
    size: int, jobs: int, pages: list[int]
) -> None:
    recording, token, seen, lengths = Recording(many(jobs)), "", list[str](), list[int]()
    while True:
        answer = await listed(recording, page_size=size, page_token=token)
        lengths.append(len(answer.jobs))
        seen += [job.launch_id for job in answer.jobs]
        if not (token := answer.next_page_token):
            break
    assert pages == lengths
    assert [str(number) for number in range(jobs)] == seen


async def test_a_page_is_never_too_large_for_a_client_whatever_the_identifiers() -> None:
    recording = Recording(many(60, identifier="é" * 65_000))
    answer = await listed(recording, page_size=1000)
    assert 3_200_000 < answer.ByteSize() < 3_600_000
    rest = await listed(recording, page_size=1000, page_token=answer.next_page_token)
    assert 60 == len(answer.jobs) + len(rest.jobs) + len(
        (await listed(recording, page_size=1000, page_token=rest.next_page_token)).jobs
    )


async def test_no_more_jobs_are_asked_for_than_a_page_has_and_the_next() -> None:
    recording = Recording(many(1000))
    await listed(recording, page_size=10)
    assert 11 == recording.given == recording.most
