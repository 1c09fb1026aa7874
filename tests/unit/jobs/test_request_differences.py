from typing import Any

import pytest

from service.jobs.model import JobSpec, JsonValue
from service.jobs.request_differences import differing, digests_of
from tests.support.samples import a_job

FIRST = JobSpec("timer", "t-1", {"seconds": 5, "city": "Paris"}, {"token": "hunter2"})


def fields(spec: JobSpec, first: JobSpec = FIRST) -> list[str]:
    """What is told to differ."""
    return list(differing(a_job(digests=digests_of(first)), spec))


def asked(params: dict[str, JsonValue], name: str = "timer", **auth: Any) -> JobSpec:
    """A request for the same identifier."""
    return JobSpec(name, "t-1", params, auth or {"token": "hunter2"})


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (asked({"seconds": 5, "city": "Paris"}), []),
        (asked({"city": "Paris", "seconds": 5}), []),
        (asked({"seconds": 5, "city": "Paris", "left": None}), []),
        (asked({"seconds": 5, "city": "Rome"}), ["params.city"]),
        (asked({"seconds": "5", "city": "Paris"}), ["params.seconds"]),
        (asked({"seconds": 5}), ["params.city"]),
        (asked({"seconds": 5, "city": "Paris", "more": {}}), ["params.more"]),
        (asked({"seconds": 5, "city": "Paris"}, "mail"), ["name"]),
        (asked({"seconds": 5, "city": "Paris"}, token="hunter3"), ["auth"]),
        (asked({}, "mail", t=1), ["auth", "name", "params.city", "params.seconds"]),
    ],
)
def test_the_fields_that_differ_are_told(spec: JobSpec, told: list[str]) -> None:
    assert told == fields(spec)


def test_the_order_within_a_value_is_no_difference() -> None:
    one = asked({"p": {"a": 1, "b": [2]}}, a={"x": 1, "y": 2})
    other = asked({"p": {"b": [2], "a": 1}}, a={"y": 2, "x": 1})
    assert [] == fields(other, one)


def test_no_value_is_kept() -> None:
    kept = digests_of(asked({"city": "hunter2"}))
    assert {"name", "auth", "params.city"} == set(kept)
    assert all(isinstance(value, int) for value in kept.values())


@pytest.mark.parametrize(
    "params",
    [{f"p{number}": number for number in range(33)}, {"p" * 65: 1}, {"p" * 100_000: 1, "b": 2}],
)
def test_many_or_long_names_are_not_kept(params: dict[str, JsonValue]) -> None:
    assert {"name", "auth", "params"} == set(digests_of(asked(params)))
    key = next(iter(params))
    assert ["params"] == fields(asked({**params, key: "other"}), asked(params))


def test_of_a_job_that_was_taken_over_nobody_knows() -> None:
    assert () == differing(a_job(), FIRST)
