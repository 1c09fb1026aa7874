from dataclasses import replace

import pytest

from service.crash_reports.reason import reason_of
from service.jobs.model import Job
from service.jobs.observations import Closed, EndBegun, EndReason, Started
from service.jobs.restart_policy import Restarts
from service.jobs.transitions import advance
from tests.support.samples import a_job

_AT = 1_700_000_000.0
_WHEN = "timer failed on 2023-11-14 at 22:13:20 UTC: "


def _ended(closed: Closed, *, ended_for: EndReason = "", restarts: int = 0) -> Job:
    job = advance(a_job(), Started("c1", _AT - 60))
    if ended_for:
        job = advance(job, EndBegun(ended_for))
    return advance(replace(job, restarts=Restarts(total=restarts)), closed)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (_ended(Closed(_AT, 3)), "it ended with exit code 3"),
        (_ended(Closed(_AT, 0)), "it ended, though it should have gone on"),
        (_ended(Closed(_AT, 137, oom_killed=True)), "it ran out of memory and was ended"),
        (
            _ended(Closed(_AT, 143), ended_for="time_limit"),
            "it had run for as long as it may, and was ended",
        ),
        (
            _ended(Closed(_AT, 143), ended_for="unhealthy"),
            "its health check failed, and it was ended",
        ),
        (_ended(Closed(_AT, 143, signal=15)), "somebody has stopped it on its host"),
        (_ended(Closed(_AT, 0, signal=0)), "somebody has stopped it on its host"),
        (_ended(Closed(_AT)), "it is gone, and the reason is not known"),
        (_ended(Closed(_AT, 137, witnessed=False)), "it is gone, and the reason is not known"),
        (_ended(Closed(_AT, 3), restarts=5), "it ended with exit code 3, after 5 restarts"),
        (_ended(Closed(_AT, 3), restarts=1), "it ended with exit code 3, after 1 restart"),
    ],
)
def test_a_sentence_says_what_has_happened_and_when(job: Job, reason: str) -> None:
    assert f"{_WHEN}{reason}." == reason_of(job)


def test_the_last_lines_follow() -> None:
    job = replace(_ended(Closed(_AT, 1)), last_lines="connecting\nno such city")
    wanted = f"{_WHEN}it ended with exit code 1.\nIts last lines:\nconnecting\nno such city"
    assert wanted == reason_of(job)
