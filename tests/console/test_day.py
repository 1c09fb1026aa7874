"""The figures of a day."""

import time

from service._generated.supervisor.v1 import observer_pb2 as api
from service.access.clients import ALL_JOBS, JobScope
from service.console.day import Day
from tests.console.stub import StubApi, job

_HALF_AN_HOUR = 1800


def _ended(number: int, *, began: float, ended: float, outcome: str) -> api.Job:
    made = job(number, state="gone", outcome=outcome)
    made.created.seconds, made.ended.seconds = int(began), int(ended)
    return made


async def test_a_job_counts_where_it_began_and_ended_and_as_running_in_between() -> None:
    stub, now = StubApi(), time.time()
    live = job(1)
    live.created.seconds = int(now - 3 * _HALF_AN_HOUR - 60)
    stub.jobs = {"l-1": live}
    ago = now - 2 * _HALF_AN_HOUR - 60
    stub.ended = [
        _ended(2, began=ago, ended=now - 60, outcome="error"),
        _ended(3, began=now - 90, ended=now - 60, outcome="success"),
        _ended(4, began=now - 90 * 3600, ended=now - 80 * 3600, outcome="error"),
    ]
    day = await Day(stub.ListJobs).figures(ALL_JOBS)
    assert (48, _HALF_AN_HOUR, True) == (len(day["launches"]), day["step"], day["complete"])
    assert [1, 1, 0, 1] == day["launches"][-4:]
    assert [0, 0, 0, 1] == day["failures"][-4:]
    assert [0, 1, 2, 2, 1] == day["running"][-5:]
    assert (3, 1) == (sum(day["launches"]), sum(day["failures"]))


async def test_figures_are_read_once_for_all_pages() -> None:
    stub = StubApi()
    day = Day(stub.ListJobs)
    first = await day.figures(ALL_JOBS)
    stub.jobs = {"l-1": job(1)}
    assert first is await day.figures(ALL_JOBS)
    for patterns in (["timer*"], ["all jobs"]):  # as a job may be called
        assert first is not await day.figures(JobScope(patterns))
