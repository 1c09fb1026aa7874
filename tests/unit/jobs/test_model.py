from dataclasses import FrozenInstanceError
from itertools import product

import pytest

from observability.callers import NO_CALLER, Caller
from service.jobs.model import FAILED_OUTCOMES, Job, JobSpec, Kind, Outcome, State
from service.jobs.observations import (
    Closed,
    EndBegun,
    ExitSeen,
    FoundLive,
    HealthSeen,
    ImageSeen,
    KillFailed,
    KillIntended,
    Observation,
    PauseSeen,
    PullSeen,
    RestartBegun,
    RestartFailed,
    RunEnded,
    Started,
    StartFailed,
)
from service.jobs.restart_policy import Restarts
from service.jobs.transitions import advance
from tests.support.samples import a_job

STARTED = Started("c1", 100.0)
ENDED = Closed(200.0, exit_code=0)
RUN_ENDED = RunEnded(ENDED, Restarts(1, 1, 200.0, 1), 201.0)
OBSERVATIONS: tuple[Observation, ...] = (
    STARTED,
    KillIntended(),
    KillFailed(),
    ExitSeen(),
    FoundLive(),
    PauseSeen(paused=True),
    PauseSeen(paused=False),
    HealthSeen(healthy=True),
    HealthSeen(unhealthy=True),
    PullSeen(under_way=True),
    PullSeen(under_way=False),
    EndBegun("time_limit"),
    RUN_ENDED,
    RestartBegun(),
    RestartFailed(202.0),
    RestartFailed(None),
    ENDED,
    StartFailed(),
)
ENDS: tuple[Observation, ...] = (ENDED, StartFailed())


def after(*observations: Observation, job: Job | None = None) -> Job:
    job = job or a_job()
    for observation in observations:
        job = advance(job, observation)
    return job


@pytest.mark.parametrize(
    ("observations", "state"),
    [
        ((), State.STARTING),
        ((STARTED,), State.RUNNING),
        ((StartFailed(),), State.GONE),
        ((KillIntended(),), State.STOPPING),
        ((KillIntended(), STARTED), State.STOPPING),
        ((KillIntended(), KillFailed()), State.STARTING),
        ((KillIntended(), STARTED, KillFailed()), State.RUNNING),
        ((KillIntended(), StartFailed()), State.GONE),
        ((ExitSeen(), STARTED), State.EXITED),
        ((STARTED, KillIntended()), State.STOPPING),
        ((STARTED, KillIntended(), KillFailed()), State.RUNNING),
        ((STARTED, KillIntended(), ExitSeen()), State.STOPPING),
        ((STARTED, KillIntended(), ExitSeen(), KillFailed()), State.EXITED),
        ((STARTED, KillIntended(), FoundLive()), State.STOPPING),
        ((STARTED, ExitSeen()), State.EXITED),
        ((STARTED, ExitSeen(), KillIntended()), State.EXITED),
        ((STARTED, ExitSeen(), FoundLive()), State.RUNNING),
        ((STARTED, ExitSeen(), KillIntended(), FoundLive()), State.STOPPING),
        ((STARTED, ExitSeen(), KillIntended(), FoundLive(), KillFailed()), State.RUNNING),
        ((STARTED, KillFailed()), State.RUNNING),
        ((Started("c1", 100.0, paused=True),), State.PAUSED),
        ((STARTED, PauseSeen(paused=True)), State.PAUSED),
        ((STARTED, PauseSeen(paused=True), PauseSeen(paused=False)), State.RUNNING),
        ((STARTED, PauseSeen(paused=True), ExitSeen()), State.EXITED),
        ((STARTED, PauseSeen(paused=True), KillIntended(), KillFailed()), State.PAUSED),
        ((STARTED, ENDED), State.GONE),
        ((STARTED, EndBegun("time_limit")), State.STOPPING),
        ((STARTED, EndBegun("time_limit"), ExitSeen()), State.EXITED),
        ((STARTED, ExitSeen(), EndBegun("time_limit")), State.EXITED),
        ((STARTED, EndBegun("time_limit"), FoundLive(101.0)), State.STOPPING),
        ((STARTED, EndBegun("time_limit"), ExitSeen(), FoundLive(300.0)), State.RUNNING),
        ((STARTED, EndBegun("unhealthy")), State.STOPPING),
        ((STARTED, ExitSeen(), RUN_ENDED), State.BACKING_OFF),
        ((STARTED, EndBegun("time_limit"), RUN_ENDED), State.BACKING_OFF),
        ((STARTED, RUN_ENDED, KillIntended()), State.STOPPING),
        ((STARTED, RUN_ENDED, KillIntended(), KillFailed()), State.BACKING_OFF),
        ((STARTED, RUN_ENDED, FoundLive(300.0)), State.RUNNING),
        ((STARTED, RUN_ENDED, RestartBegun()), State.STARTING),
        ((STARTED, RUN_ENDED, RestartBegun(), KillIntended()), State.STOPPING),
        ((STARTED, RUN_ENDED, RestartBegun(), Started("c2", 300.0)), State.RUNNING),
        ((STARTED, RUN_ENDED, RestartBegun(), RestartFailed(202.0)), State.BACKING_OFF),
        ((STARTED, RUN_ENDED, RestartBegun(), RestartFailed(None)), State.EXITED),
    ],
    ids=str,
)
def test_observations_lead_to_a_state(observations: tuple[Observation, ...], state: State) -> None:
    assert state == after(*observations).state


def test_a_state_is_what_the_facts_add_up_to_on_every_path() -> None:
    reached = {repr(job): job for job in [a_job()]}
    for _ in range(4):
        for before, observation in product(tuple(reached.values()), OBSERVATIONS):
            job = advance(before, observation)
            assert expected_state(before, job, observation) == job.state, (before, observation)
            assert identity(before) == identity(job), (before, observation)
            reached[repr(job)] = job


def expected_state(  # noqa: PLR0911 - a fact, a return
    before: Job, job: Job, observation: Observation
) -> State:
    if before.state is State.GONE or observation in ENDS:
        return State.GONE
    if job.kill_intended:
        return State.STOPPING
    if job.backing_off:
        return State.BACKING_OFF
    if job.exit_seen:
        return State.EXITED
    if job.ended_for:
        return State.STOPPING
    if job.workload_id is None:
        return State.STARTING
    return State.PAUSED if job.paused else State.RUNNING


def identity(job: Job) -> tuple[object, ...]:
    return job.launch_id, job.name, job.identifier, job.kind, job.ends, job.fingerprint


@pytest.mark.parametrize("observation", OBSERVATIONS, ids=str)
@pytest.mark.parametrize("end", ENDS, ids=str)
def test_a_job_that_is_gone_stays_as_it_ended(end: Observation, observation: Observation) -> None:
    gone = after(STARTED, end)
    assert gone is advance(gone, observation)


def test_a_start_is_remembered_with_its_container_and_time() -> None:
    job = after(STARTED)
    assert ("c1", 100.0) == (job.workload_id, job.started_at)


def test_a_failed_start_has_no_outcome() -> None:
    assert after(StartFailed()).outcome is None


def test_an_end_is_remembered_with_its_time_and_code() -> None:
    job = after(STARTED, Closed(200.0, exit_code=3))
    assert (200.0, 3) == (job.ended_at, job.exit_code)


def test_the_engine_knows_better_when_a_container_started() -> None:
    assert 99.5 == after(STARTED, Closed(200.0, 0, started_at=99.5)).started_at
    assert 100.0 == after(STARTED, Closed(200.0, 0)).started_at


ACTION, ENDING = a_job(), a_job(ends=True)


@pytest.mark.parametrize(
    ("job", "end", "outcome"),
    [
        (ENDING, Closed(1, 0), Outcome.SUCCESS),
        (ENDING, Closed(1, 0, witnessed=False), Outcome.SUCCESS),
        (ENDING, Closed(1, 1), Outcome.ERROR),
        (ENDING, Closed(1, 1, witnessed=False), Outcome.LOST),
        (ENDING, Closed(1, None), Outcome.LOST),
        (ENDING, Closed(1, 137, oom_killed=True), Outcome.OOM),
        (ACTION, Closed(1, 0), Outcome.UNEXPECTED_END),
        (ACTION, Closed(1, 0, witnessed=False), Outcome.LOST),
        (ACTION, Closed(1, 1), Outcome.ERROR),
        (ACTION, Closed(1, 137), Outcome.ERROR),
        (ACTION, Closed(1, 137, oom_killed=True), Outcome.OOM),
        (ACTION, Closed(1, 1, oom_killed=True), Outcome.OOM),
        (ACTION, Closed(1, 137, oom_killed=True, witnessed=False), Outcome.OOM),
        (ACTION, Closed(1, None), Outcome.LOST),
    ],
    ids=str,
)
def test_an_end_that_nobody_asked_for_has_the_outcome(
    job: Job, end: Closed, outcome: Outcome
) -> None:
    assert outcome == after(STARTED, ExitSeen(), end, job=job).outcome


@pytest.mark.parametrize(
    "end",
    [Closed(1, 0), Closed(1, 143), Closed(1, 137, oom_killed=True), Closed(1), Closed(1, 1)],
    ids=str,
)
@pytest.mark.parametrize("job", [ACTION, ENDING])
def test_an_end_after_a_kill_is_a_kill(job: Job, end: Closed) -> None:
    assert Outcome.KILLED == after(STARTED, KillIntended(), ExitSeen(), end, job=job).outcome


def test_a_kill_before_the_start_makes_the_end_a_kill() -> None:
    assert Outcome.KILLED == after(KillIntended(), STARTED, Closed(1, 143)).outcome


def test_a_kill_after_the_exit_does_not_change_why_it_ended() -> None:
    assert Outcome.ERROR == after(STARTED, ExitSeen(), KillIntended(), Closed(1, 1)).outcome


def test_a_kill_of_what_runs_again_after_an_exit_is_why_it_ends() -> None:
    by = Caller("10.0.0.1:1", "grpc")
    seen = (STARTED, ExitSeen(), KillIntended(by), FoundLive(), ExitSeen())
    job = after(*seen, Closed(1, 137))
    assert (Outcome.KILLED, by) == (job.outcome, job.killer)
    assert Outcome.ERROR == after(*seen[:4], KillFailed(), Closed(1, 137)).outcome


def test_who_kills_what_has_exited_is_not_named() -> None:
    by = Caller("10.0.0.1:1", "grpc")
    assert NO_CALLER == after(STARTED, ExitSeen(), KillIntended(by), Closed(1, 1)).killer


def test_an_exit_after_a_failed_kill_is_no_kill() -> None:
    assert Outcome.ERROR == after(STARTED, KillIntended(), KillFailed(), Closed(1, 1)).outcome


@pytest.mark.parametrize(
    ("observations", "end", "told"),
    [
        ((), Closed(1, 143, signal=15), 15),
        ((), Closed(1, 0, signal=0), 0),
        ((), Closed(1, 1), None),
        ((), Closed(1, 137, oom_killed=True, signal=9), None),
        ((), Closed(1, 143, witnessed=False, signal=15), None),
        ((), Closed(1, None, signal=9), None),
        ((KillIntended(),), Closed(1, 143, signal=15), None),
    ],
    ids=str,
)
@pytest.mark.parametrize("job", [ACTION, ENDING], ids=["action", "ending"])
def test_others_have_ended_what_neither_we_nor_memory_nor_the_engine_has(
    job: Job, observations: tuple[Observation, ...], end: Closed, told: int | None
) -> None:
    assert told == after(STARTED, *observations, end, job=job).signal


@pytest.mark.parametrize(
    ("observations", "signal"),
    [
        ((ExitSeen(15),), 15),
        ((ExitSeen(15), ExitSeen()), 15),
        ((ExitSeen(15), ExitSeen(9)), 9),
        ((ExitSeen(15), FoundLive()), None),
        ((ExitSeen(15), FoundLive(), ExitSeen()), None),
    ],
    ids=str,
)
def test_the_signal_before_an_exit_is_known_until_it_runs_again(
    observations: tuple[Observation, ...], signal: int | None
) -> None:
    assert signal == after(STARTED, *observations).exit_signal


def test_a_job_is_being_killed_until_the_kill_has_failed() -> None:
    assert not after(STARTED).being_killed
    assert after(STARTED, KillIntended()).being_killed
    assert after(STARTED, ExitSeen(), KillIntended()).being_killed
    assert not after(STARTED, KillIntended(), KillFailed()).being_killed


@pytest.mark.parametrize(
    ("job", "end", "early"),
    [
        (ACTION, Closed(109, 1), True),
        (ACTION, Closed(109, 0), True),
        (ACTION, Closed(99.9, 134), True),
        (ACTION, Closed(109, 137, oom_killed=True), True),
        (ENDING, Closed(109, 1), True),
        (ENDING, Closed(109, 0), False),
        (ACTION, Closed(110, 1), False),
        (ACTION, Closed(109, 143, signal=15), False),
        (ACTION, Closed(109, 1, witnessed=False), False),
        (ACTION, Closed(109, 1, started_at=98), False),
    ],
    ids=str,
)
def test_a_bad_end_within_ten_seconds_of_the_start_is_early(
    job: Job, end: Closed, *, early: bool
) -> None:
    assert early == after(STARTED, end, job=job).ended_early


def test_a_kill_soon_after_the_start_is_no_early_end() -> None:
    assert not after(STARTED, KillIntended(), Closed(101, 143)).ended_early
    assert not after(StartFailed()).ended_early


def test_a_resumed_job_can_be_killed() -> None:
    job = after(STARTED, ExitSeen(), FoundLive(), KillIntended(), Closed(1, 143))
    assert Outcome.KILLED == job.outcome


@pytest.mark.parametrize(
    ("observations", "runs"),
    [
        ((), False),
        ((KillIntended(),), False),
        ((STARTED,), True),
        ((STARTED, PauseSeen(paused=True)), True),
        ((STARTED, KillIntended()), True),
        ((STARTED, KillIntended(), ExitSeen()), False),
        ((STARTED, ExitSeen()), False),
        ((STARTED, ExitSeen(), FoundLive()), True),
        ((STARTED, ENDED), False),
    ],
    ids=str,
)
def test_what_has_a_container_that_has_not_ended_runs(
    observations: tuple[Observation, ...], runs: bool
) -> None:
    assert runs is after(*observations).runs


def test_a_kill_while_it_backs_off_is_why_it_ends() -> None:
    by = Caller("10.0.0.1:1", "grpc")
    job = after(STARTED, ExitSeen(), RUN_ENDED, KillIntended(by), Closed(1, 1))
    assert (Outcome.KILLED, by) == (job.outcome, job.killer)


def test_a_successor_takes_the_place_of_what_has_exited() -> None:
    begun = after(STARTED, ExitSeen(15), RUN_ENDED, RestartBegun())
    assert (None, "c1", None) == (begun.workload_id, begun.predecessor, begun.exit_signal)
    job = advance(begun, Started("c2", 300.0))
    assert ("c2", 300.0, "", True) == (job.workload_id, job.started_at, job.predecessor, job.runs)
    failed = advance(begun, RestartFailed(202.0))
    assert ("c1", 202.0, "", False) == (
        failed.workload_id,
        failed.restart_at,
        failed.predecessor,
        failed.runs,
    )


def test_what_others_have_started_has_a_start_of_its_own() -> None:
    assert 300.0 == after(STARTED, ExitSeen(), FoundLive(300.0)).started_at
    assert 100.0 == after(STARTED, ExitSeen(), FoundLive()).started_at


def test_only_actions_are_grouped() -> None:
    assert a_job(kind=Kind.ACTION).grouped
    assert not a_job(kind=Kind.REACTION).grouped


def test_failed_outcomes_are_those_that_nobody_wanted() -> None:
    assert {"error", "oom", "ended", "lost", "timed_out"} == FAILED_OUTCOMES


def test_the_live_states_are_spelled_as_listjobs_promises() -> None:
    assert ["starting", "running", "paused", "stopping", "backing_off"] == [
        state.value for state in State if state not in (State.EXITED, State.GONE)
    ]


def test_a_spec_does_not_show_its_credentials() -> None:
    spec = JobSpec("timer", "t-1", {"seconds": 3}, {"token": "hunter2"})
    assert "hunter2" not in f"{spec!r} {spec}"
    assert "t-1" in repr(spec)


def test_a_job_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        a_job().state = State.GONE  # type: ignore[misc]


def test_a_job_whose_launch_waits_for_its_health_is_starting_until_then() -> None:
    job = advance(a_job(ready_within=60.0), STARTED)
    assert (State.STARTING, True, True) == (job.state, job.awaits_health, job.runs)
    sick = advance(job, HealthSeen(unhealthy=True))
    assert (State.STARTING, True) == (sick.state, sick.is_sick)
    assert State.STOPPING is advance(sick, KillIntended()).state
    assert State.EXITED is advance(sick, ExitSeen()).state
    ready = advance(sick, HealthSeen(healthy=True))
    assert (State.RUNNING, False, False) == (ready.state, ready.awaits_health, ready.is_sick)
    again = advance(ready, HealthSeen(unhealthy=True))
    assert (State.RUNNING, False, True) == (again.state, again.awaits_health, again.is_sick)
    assert not advance(again, ExitSeen()).is_sick


def test_an_adopted_job_may_be_ready_whatever_its_health() -> None:
    job = advance(a_job(ready_within=60.0), Started("c1", 100.0, ready=True))
    assert (State.RUNNING, False) == (job.state, job.awaits_health)


# What is told of it


def test_an_end_has_what_it_has_told() -> None:
    job = after(STARTED, Closed(200.0, 137, oom_killed=True, last_lines="no memory"))
    assert (True, "no memory") == (job.oom_killed, job.last_lines)
    assert "no memory" not in repr(job)  # it is long


def test_the_name_of_a_workload_stays_that_of_its_successor() -> None:
    named = Started("c1", 100.0, name="t-1")
    job = after(named, ExitSeen(), RUN_ENDED, RestartBegun(), Started("c2", 300.0))
    assert ("c2", "t-1") == (job.workload_id, job.workload_name)


def test_the_digest_is_that_of_its_own_workload() -> None:
    told = ImageSeen("c1", "sha256:a"), ImageSeen("c0", "sha256:b"), ImageSeen("c1", "")
    assert "sha256:a" == after(STARTED, *told).image_digest


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        (f"00-{'0af76519' * 4}-b7ad6b7169203331-01", "0af76519" * 4),
        (None, ""),
        ("", ""),
    ],
)
def test_the_trace_is_that_of_its_launch(traceparent: str | None, trace_id: str) -> None:
    assert trace_id == a_job(traceparent=traceparent).trace_id
