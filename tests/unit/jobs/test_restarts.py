import json
from typing import Any

import pytest

from service.jobs.model import Job, Outcome
from service.jobs.observations import (
    Closed,
    EndReason,
    KillIntended,
    RestartFailed,
    RunEnded,
    Started,
)
from service.jobs.restart_policy import (
    NO_RESTARTS,
    RestartPolicy,
    Restarts,
    read_policy,
    read_restarts,
    write_policy,
    write_restarts,
)
from service.jobs.restarts import Again, after_end
from service.jobs.transitions import advance
from tests.support.samples import a_job

POLICY = RestartPolicy("failure", attempts=3, window=60.0, back_off=1.0, most=8.0)
ANY_END = RestartPolicy("end", attempts=3, window=60.0, back_off=1.0, most=8.0)
BEGAN = 1000.0


def running(policy: RestartPolicy | None = POLICY, **facts: Any) -> Job:
    return advance(a_job(restart=policy, **facts), Started("c1", BEGAN))


def ended(code: int | None = 1, *, after: float = 5.0, **facts: Any) -> Closed:
    return Closed(BEGAN + after, code, **facts)


def restarts_after(job: Job, end: Closed) -> Restarts:
    follows = after_end(job, end)
    assert isinstance(follows, Again)
    return follows.restarts


@pytest.mark.parametrize(
    ("policy", "facts", "end", "follows"),
    [
        (None, {}, ended(1), ""),
        (POLICY, {}, ended(0), "success"),
        (ANY_END, {"ends": True}, ended(0), "success"),
        (POLICY, {"ends": True}, ended(0, witnessed=False), "success"),
        (RestartPolicy("end", 3, 60, 1, 8, (0,)), {}, ended(0), "exit_code"),
        (RestartPolicy("failure", 3, 60, 1, 8, (2, 64)), {}, ended(64), "exit_code"),
        (RestartPolicy("failure", 3, 60, 1, 8, (2,)), {}, ended(2, witnessed=False), "exit_code"),
    ],
)
def test_these_ends_are_final(
    policy: RestartPolicy | None, facts: dict[str, Any], end: Closed, follows: str
) -> None:
    assert follows == after_end(running(policy, **facts), end)


@pytest.mark.parametrize(
    ("policy", "facts", "end"),
    [
        (POLICY, {}, ended(1)),
        (POLICY, {}, ended(137, oom_killed=True)),
        (POLICY, {}, ended(137, signal=9)),
        (POLICY, {}, ended(0, witnessed=False)),  # the Engine has ended it
        (POLICY, {"ends": True}, ended(1)),
        (ANY_END, {}, ended(0)),
        (ANY_END, {}, ended(1)),
        (RestartPolicy("failure", 3, 60, 1, 8, (2,)), {}, ended(3)),
    ],
)
def test_these_ends_lead_to_a_restart(
    policy: RestartPolicy, facts: dict[str, Any], end: Closed
) -> None:
    assert Restarts(1, 1, end.at, 1) == restarts_after(running(policy, **facts), end)


@pytest.mark.parametrize("reason", ["time_limit", "unhealthy"])
@pytest.mark.parametrize("ends", [True, False])
def test_a_run_that_a_supervisor_has_ended_has_failed_whatever_its_exit_code(
    reason: EndReason, ends: bool
) -> None:
    policy = RestartPolicy("failure", 3, 60, 1, 8, (0, 143), unhealthy=True)
    for code in (0, 143):
        job = running(policy, ended_for=reason, ends=ends)
        assert 1 == restarts_after(job, ended(code)).total


@pytest.mark.parametrize(
    ("reason", "outcome"), [("time_limit", Outcome.TIMED_OUT), ("unhealthy", Outcome.ERROR)]
)
def test_the_last_outcome_is_known_if_there_is_no_successor(
    reason: EndReason, outcome: Outcome
) -> None:
    end = ended(0, ended_for=reason)
    waiting = advance(running(ended_for=reason), RunEnded(end, Restarts(1, 1, BEGAN, 1), BEGAN))
    assert "" == waiting.ended_for
    closed = advance(waiting, end)
    assert (outcome, reason) == (closed.outcome, closed.ended_for)


def test_a_job_that_was_killed_is_not_started_again() -> None:
    assert after_end(advance(running(), KillIntended()), ended(143)) == ""


def test_a_job_is_given_up_once_the_engine_has_refused() -> None:
    job = advance(running(predecessor="c0"), RestartFailed(None))
    assert after_end(job, ended(1)) == "refused"


def test_attempts_are_counted_within_the_window_which_begins_with_an_end() -> None:
    so_far = NO_RESTARTS
    for attempt in (1, 2, 3):
        so_far = restarts_after(running(restarts=so_far), ended(1, after=10.0 * attempt))
        assert (attempt, BEGAN + 10) == (so_far.in_window, so_far.window_began)
    assert after_end(running(restarts=so_far), ended(1, after=70)) == "attempts"
    anew = restarts_after(running(restarts=so_far), ended(1, after=70.1))
    assert (4, 1, BEGAN + 70.1) == (anew.total, anew.in_window, anew.window_began)


def test_the_longest_wait_doubles_up_to_the_most() -> None:
    waits = [POLICY.longest_wait(Restarts(in_a_row=number)) for number in (1, 2, 3, 4, 5, 9999)]
    assert [1, 2, 4, 8, 8, 8] == waits


def test_the_wait_is_anything_up_to_the_longest() -> None:
    waits = set()
    for _ in range(200):
        follows = after_end(running(restarts=Restarts(2, 2, BEGAN, 2)), ended(1))
        assert isinstance(follows, Again)
        waits.add(follows.wait)
    assert 0 <= min(waits) < 1
    assert 3 < max(waits) <= 4


@pytest.mark.parametrize(("ran", "in_a_row"), [(8.0, 5), (8.1, 1)])
def test_the_waits_start_over_after_a_long_run(ran: float, in_a_row: int) -> None:
    so_far = Restarts(4, 1, BEGAN, 4)
    assert in_a_row == restarts_after(running(restarts=so_far), ended(1, after=ran)).in_a_row


def test_the_labels_keep_all_of_it() -> None:
    policy = RestartPolicy("end", 7, 600.0, 0.25, 86400.0, (2, 64), unhealthy=True)
    assert policy == read_policy(write_policy(policy))
    restarts = Restarts(12, 3, 1700000000.125, 5)
    assert restarts == read_restarts(write_restarts(restarts))
    assert write_policy(None) is None
    assert read_policy(None) is None
    assert write_restarts(NO_RESTARTS) is None
    assert NO_RESTARTS == read_restarts(None)


def test_the_labels_can_be_read_by_a_person() -> None:
    label = write_policy(POLICY)
    assert label is not None
    assert {"on": "failure", "window": "60s", "back_off": "1s"}.items() <= json.loads(label).items()


@pytest.mark.parametrize(
    "label",
    [
        *("", "x", "[]", "{}", '{"on": "always"}', '{"on": "end"}', "1"),
        '{"total": 1, "attempt": 1, "window_began": 0, "in_a_row": -1}',
        f'{{"total": {10**400}, "attempt": 1, "window_began": 0, "in_a_row": 1}}',
    ],
)
def test_what_somebody_else_has_written_there_is_refused(label: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - that of json among them
        read_policy(label)
    with pytest.raises(ValueError):  # noqa: PT011
        read_restarts(label)


def test_an_outcome_tells_of_the_time_limit_unless_it_was_killed() -> None:
    job = running(ended_for="time_limit")
    assert Outcome.TIMED_OUT == advance(job, ended(0)).outcome
    assert Outcome.TIMED_OUT == advance(job, ended(None)).outcome
    assert Outcome.KILLED == advance(advance(job, KillIntended()), ended(137)).outcome


def test_an_end_as_unhealthy_is_an_error_of_nobody_else_whatever_the_code() -> None:
    job = running(ended_for="unhealthy", ends=True)
    for code in (0, 143):
        closed = advance(job, ended(code, signal=15))
        assert (Outcome.ERROR, None, "unhealthy") == (
            closed.outcome,
            closed.signal,
            closed.ended_for,
        )
    assert Outcome.OOM == advance(job, ended(137, oom_killed=True)).outcome
    assert Outcome.LOST == advance(job, ended(None)).outcome
    killed = advance(advance(job, KillIntended()), ended(143))
    assert (Outcome.KILLED, "") == (killed.outcome, killed.ended_for)
