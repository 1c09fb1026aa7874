import time
from typing import Any

import pytest

from service.jobs.model import Outcome, State
from service.jobs.wanted import EVERY_JOB, Wanted
from tests.support.samples import a_job

_ENDED: dict[str, Any] = {
    "state": State.GONE,
    "outcome": Outcome.OOM,
    "created_at": 100.0,
    "ended_at": 200.0,
}


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({"name": "timer"}, True),
        ({"name": "time"}, False),
        ({"name": "t*"}, True),
        ({"name": "*"}, True),
        ({"name": "t**r"}, True),
        ({"name": "*ime*"}, True),
        ({"name": "t.mer"}, False),
        ({"name": "t?mer"}, False),
        ({"name": "[t]imer"}, False),
        ({"identifier_prefix": "timer-"}, True),
        ({"identifier_prefix": "timer-12"}, False),
        ({"identifier_prefix": "*"}, False),
        ({"state": State.GONE}, True),
        ({"state": State.RUNNING}, False),
        ({"outcome": Outcome.OOM}, True),
        ({"outcome": Outcome.ERROR}, False),
        ({"since": 100.0}, True),
        ({"since": 100.1}, False),
        ({"since": 0.0}, True),
        ({"ended_since": 200.0}, True),
        ({"ended_since": 200.1}, False),
        ({"failed": True}, True),
        ({"failed": True, "outcome": Outcome.ERROR}, False),
        ({"name": "timer", "outcome": Outcome.ERROR}, False),
        ({"name": "mail", "outcome": Outcome.OOM}, False),
    ],
)
def test_a_job_fits_if_it_fits_all_of_it(wanted: dict[str, Any], *, fits: bool) -> None:
    assert fits is Wanted(**wanted).fits(a_job(**_ENDED))


def test_a_success_and_a_kill_are_no_failures() -> None:
    wanted, ends = Wanted(failed=True), [a_job(state=State.GONE, outcome=each) for each in Outcome]
    failed = [job.outcome for job in ends if wanted.fits(job)]
    assert ["ended", "error", "oom", "lost", "timed_out"] == failed


def test_a_live_job_has_not_ended() -> None:
    for wanted in (Wanted(ended_since=0.0), Wanted(failed=True)):
        assert not wanted.fits(a_job())


def test_every_job_fits_what_is_empty() -> None:
    assert EVERY_JOB.fits(a_job())
    assert EVERY_JOB.fits(a_job(name="", **_ENDED))


def test_a_pattern_takes_no_time_however_it_is_written() -> None:
    job = a_job(name="a" * 128)
    began = time.perf_counter()
    assert not Wanted(name="*a" * 64 + "*b").fits(job)
    assert time.perf_counter() - began < 5  # if it tried each way to match, it would be for ever
