from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from observability.callers import Caller
from service.api.job_messages import message_of
from service.jobs.model import Job, Outcome, State
from service.jobs.observations import Closed
from service.jobs.restart_policy import Restarts
from tests.support.samples import a_job

_TRACE = "0af76519" * 4


def told(job: Job) -> dict[str, Any]:
    return MessageToDict(message_of(job), preserving_proto_field_name=True)


def test_a_job_that_has_just_come_tells_what_is_known() -> None:
    assert {
        "launch_id": "0123456789abcdef",
        "name": "timer",
        "identifier": "timer-1",
        "kind": "action",
        "state": "starting",
    } == told(a_job())


def test_a_job_that_has_ended_tells_everything() -> None:
    ended = a_job(
        state=State.GONE,
        workload_id="c1",
        workload_name="timer-1",
        image="supervisor-timer",
        image_digest="sha256:abc",
        created_at=1_700_000_000.25,
        started_at=1_700_000_001.0,
        ended_at=1_700_000_002.5,
        outcome=Outcome.OOM,
        exit_code=137,
        oom_killed=True,
        restarts=Restarts(total=3),
        last_lines="no memory\nleft",
        traceparent=f"00-{_TRACE}-b7ad6b7169203331-01",
        launched_by=Caller("10.0.0.1:5000", "grpc-node-js", "backend"),
        killer=Caller("10.0.0.2:5000"),
        node="red",
    )
    assert {
        "launch_id": "0123456789abcdef",
        "name": "timer",
        "identifier": "timer-1",
        "kind": "action",
        "state": "gone",
        "container_id": "c1",
        "container_name": "timer-1",
        "image": "supervisor-timer",
        "image_digest": "sha256:abc",
        "created": "2023-11-14T22:13:20.250Z",
        "started": "2023-11-14T22:13:21Z",
        "ended": "2023-11-14T22:13:22.500Z",
        "outcome": "oom",
        "exit_code": 137,
        "out_of_memory": True,
        "restarts": 3,
        "last_lines": "no memory\nleft",
        "trace_id": _TRACE,
        "launched_by": {"client": "backend", "peer": "10.0.0.1:5000", "user_agent": "grpc-node-js"},
        "killed_by": {"peer": "10.0.0.2:5000"},
        "node": "red",
    } == told(ended)


@pytest.mark.parametrize("at", [1e18, -1e18, float("inf"), float("nan")])
def test_what_no_message_can_hold_is_left_out(at: float) -> None:
    odd = a_job(
        created_at=at, started_at=at, ended_at=at, exit_code=2**31, restarts=Restarts(total=2**31)
    )
    assert told(a_job()) == told(odd)


def test_an_exit_code_of_0_is_told_and_one_that_nobody_knows_is_not() -> None:
    assert message_of(a_job(exit_code=0)).HasField("exit_code")
    assert not message_of(a_job()).HasField("exit_code")


def test_a_job_that_backs_off_tells_how_its_last_run_has_ended() -> None:
    end = Closed(200.0, 3, last_lines="oh")
    waits = a_job(state=State.BACKING_OFF, backing_off=True, restart_at=300.0, last_end=end)
    assert {"exit_code": 3, "last_lines": "oh", "restart_at": "1970-01-01T00:05:00Z"}.items() <= (
        told(waits).items()
    )


def test_a_job_that_runs_again_tells_nothing_of_the_run_before() -> None:
    end = Closed(200.0, 3, last_lines="oh")
    runs = told(a_job(state=State.RUNNING, last_end=end, restart_at=300.0))
    assert set() == {"exit_code", "last_lines", "restart_at"} & set(runs)


def test_a_job_that_waits_for_its_image_says_so() -> None:
    assert told(a_job(pulling=True))["pulling"] is True


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("outcome", Outcome)
def test_states_and_outcomes_are_those_of_the_metrics(state: State, outcome: Outcome) -> None:
    message = message_of(a_job(state=state, outcome=outcome))
    assert (state.value, outcome.value) == (message.state, message.outcome)


def test_half_a_character_in_a_label_is_told_as_a_question_mark() -> None:
    assert "a?é" == message_of(a_job(identifier="a\ud800é")).identifier
