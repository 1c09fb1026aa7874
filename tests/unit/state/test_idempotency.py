"""The memory of idempotency-keys: what a key may be, for how long and how many it keeps."""

import time
from dataclasses import replace
from typing import Any

import pytest

from observability.callers import NO_CALLER, Caller
from observability.redaction.redactor import Redactor
from service.errors import InvalidRequest
from service.jobs.model import Job, JobSpec
from service.state.idempotency import KEPT_SECONDS, Keys, key_in
from tests.support.samples import a_job


class Clock:
    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        patch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def _keyed(key: str = "k", **changes: Any) -> Job:
    return a_job(idempotency_key=key, **({"workload_id": "c1"} | changes))


def _asked(key: str = "k", name: str = "timer", identifier: str = "timer-1") -> JobSpec:
    return JobSpec(name, identifier, idempotency_key=key)


# What may be a key


@pytest.mark.parametrize(
    "key", ["k", "8e03978e-40d5-43dd-bc93-6e894df57324", '"quo,ted" ~', "x" * 255]
)
def test_a_key_is_printable_ascii(key: str) -> None:
    assert key == key_in((("user-agent", "x"), ("idempotency-key", key)))


def test_no_key_is_none() -> None:
    assert "" == key_in((("user-agent", "x"), ("idempotency-key-2", "x")))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([""], "is empty or blank"),
        (["  "], "is empty or blank"),
        (["x" * 256], "has 256 characters; at most 255 are allowed"),
        (["a\tb"], "only printable ASCII"),
        (["é"], "only printable ASCII"),
        (["\x7f"], "only printable ASCII"),
        (["a", "a"], "is given 2 times; one is allowed"),
        (["", "a"], "is given 2 times; one is allowed"),
    ],
)
def test_what_is_no_key_is_refused_by_name(values: list[str], told: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^idempotency-key: {told}"):
        key_in([("idempotency-key", value) for value in values])


# For how long


def test_a_key_is_known_while_its_job_lives_and_ten_minutes_longer(clock: Clock) -> None:
    keys, job = Keys(), _keyed()
    keys.hold(job)
    clock.now += 10 * KEPT_SECONDS
    assert job == keys.find(_asked())
    keys.release(job)
    clock.now += KEPT_SECONDS - 1
    assert job == keys.find(_asked())
    clock.now += 1
    assert keys.find(_asked()) is None


def test_a_launch_that_failed_gives_its_key_back() -> None:
    keys, job = Keys(), _keyed(workload_id=None)
    keys.hold(job)
    keys.release(job)
    assert keys.find(_asked()) is None


def test_the_end_of_an_earlier_launch_leaves_the_key_to_the_later_one() -> None:
    keys, dropped, anew = Keys(), _keyed(workload_id=None), _keyed(launch_id="2" * 16)
    keys.hold(dropped)
    keys.hold(anew)
    keys.release(dropped)
    assert anew == keys.find(_asked())


def test_a_key_that_is_used_again_after_its_time_is_kept_anew(clock: Clock) -> None:
    keys = Keys()
    for launch_id in ("1" * 16, "2" * 16):
        job = _keyed(launch_id=launch_id)
        keys.hold(job)
        keys.release(job)
        clock.now += KEPT_SECONDS - 1
        assert job == keys.find(_asked())


def test_a_request_without_a_key_repeats_nothing() -> None:
    keys = Keys()
    for job in (_keyed(key=""), _keyed()):
        keys.hold(job)
    keys.release(_keyed(key=""))
    assert keys.find(_asked(key="")) is None


# Whose


@pytest.mark.parametrize("other", [_asked(identifier="timer-2"), _asked(name="mail")])
@pytest.mark.parametrize("live", [True, False])
def test_the_key_of_another_launch_is_refused(other: JobSpec, live: bool) -> None:
    keys, job = Keys(), _keyed()
    keys.hold(job)
    if not live:
        keys.release(job)
    with pytest.raises(InvalidRequest, match=r"^idempotency-key: stands for an earlier launch"):
        keys.find(other)


# How many


def test_of_too_many_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.state.idempotency.MOST_KEPT", 2)
    keys = Keys()
    for key in ("a", "b", "c"):
        keys.hold(_keyed(key))
        keys.release(_keyed(key))
    found = [keys.find(_asked(key)) is not None for key in ("a", "b", "c")]
    assert [False, True, True] == found


def test_what_is_kept_of_a_job_is_small_however_long_its_identifier_is() -> None:
    keys, job = Keys(), _keyed(identifier="x" * 100_000)
    keys.hold(job)
    keys.release(job)
    assert job == keys.find(_asked(identifier=job.identifier))
    assert [""] == [launch.job.identifier for _, launch in keys._exited.values()]
    assert replace(job, identifier="") == next(iter(keys._exited.values()))[1].job


def test_the_credentials_of_a_job_are_not_kept() -> None:
    """They may be 500 KB long, and are no longer needed."""
    keys, job = Keys(), _keyed(redact=Redactor({"token": "x" * 10_000}))
    keys.hold(job)
    keys.release(job)
    found = keys.find(_asked())
    assert found is not None
    assert None is found.redact


def test_who_had_a_job_killed_is_not_kept() -> None:
    """What a client calls itself may be long, too."""
    keys, job = Keys(), _keyed(killer=Caller("10.0.0.1:1", "x" * 10_000))
    keys.hold(job)
    keys.release(job)
    assert replace(job, killer=NO_CALLER) == keys.find(_asked())
