import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.jobs.model import JobSpec
from service.jobs.validation import check_spec

PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")


def refusal(
    identifier: str = "t-1", params: dict[str, Any] | None = None, **auth: Any
) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        check_spec(JobSpec("timer", identifier, params or {}, auth))
    return caught.value


@pytest.mark.parametrize(
    "identifier",
    [
        "a",
        "weather-fetch-weather-Paris",
        "--auth",
        "a b",
        " a ",
        "é",
        "日本",
        "\u200b",
        "a\u2028b",
        "\u00a0x",
        "a\n",
        "\ta",
        "\x85a",
        "\x1b[2J",
        "\x7f",
        "\x9b",
        "\ufeff",
        "\u202e",
        "x" * 600,
        "😀" * 512,
        "x" * 2**20,
    ],
)
def test_an_identifier_is_allowed(identifier: str) -> None:
    check_spec(JobSpec("timer", identifier))


@pytest.mark.parametrize(
    "identifier", ["", " ", "\t", "   \n ", "\u00a0", "\u3000", "\x85", "\u2028"]
)
def test_an_empty_or_blank_identifier_is_refused(identifier: str) -> None:
    assert "identifier: is empty or blank; give the job's unique identifier" == str(
        refusal(identifier)
    )


@pytest.mark.parametrize("identifier", ["\0", "ab\0", "a\0b" * 1000, " \0"])
def test_an_identifier_with_a_nul_is_refused(identifier: str) -> None:
    expected = "identifier: has a NUL character, which no argument can carry"
    assert expected == str(refusal(identifier))


@pytest.mark.parametrize("name", ["", " ", "\t\n", "\u3000"])
def test_a_request_without_a_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_spec(JobSpec(name, "t-1"))
    assert "name: is empty or blank; give the name of a job of the catalogue" == str(caught.value)


@pytest.mark.parametrize("name", ["a", "_", "A", "a.b-c_d9", "Auth", "targets", "_auth", "x" * 999])
def test_a_parameter_name_is_allowed(name: str) -> None:
    check_spec(JobSpec("timer", "t-1", {name: 1}))


@pytest.mark.parametrize("name", ["", "1a", "-a", ".a", "a b", "a=b", "é", "a\n", "a\0", "--a"])
def test_what_is_no_parameter_name_is_refused_and_told(name: str) -> None:
    assert str(refusal(params={name: 1})).startswith(f"params: {name!r} is not a parameter name;")


@pytest.mark.parametrize("name", ["identifier", "target", "auth"])
@pytest.mark.parametrize("value", ["x", None])
def test_a_parameter_that_the_supervisor_sets_itself_is_refused(name: str, value: Any) -> None:
    assert str(refusal(params={name: value})).startswith(f"params: {name!r} is set by the superv")


def test_a_long_parameter_name_is_told_in_short() -> None:
    assert len(str(refusal(params={"é" * 100_000: 1}))) < 300


def nested(value: object) -> list[dict[str, Any]]:
    return [{"k": value}, {"k": [1, value]}, {"k": {"in": {"deeper": [{"x": value}]}}}]


@pytest.mark.parametrize("params", [*nested("a\0b"), {"k": {"key\0": 1}}, {"k": [{"\0": 1}]}])
def test_a_nul_in_a_parameter_is_refused(params: dict[str, Any]) -> None:
    assert "params: has a NUL character, which no argument can carry" == str(refusal(params=params))


@pytest.mark.parametrize("auth", [*nested("a\0b"), {"key\0": 1}, {"k": {"key\0": 1}}])
def test_a_nul_in_the_credentials_is_refused(auth: dict[str, Any]) -> None:
    assert "auth: has a NUL character, which no argument can carry" == str(refusal(**auth))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_number_that_json_cannot_carry_is_refused(number: float, place: int) -> None:
    values = nested(number)[place]
    assert str(refusal(params=values)).startswith("params: has the number ")
    assert str(refusal(**values)).startswith("auth: has the number ")


@pytest.mark.parametrize("value", [None, True, 0, -1, 1e308, 5e-324, "", "\n\t", [], {}, "\u0085"])
def test_a_value_is_allowed(value: Any) -> None:
    check_spec(JobSpec("timer", "t-1", {"k": value, "l": [value]}, {"k": value, "é \n": [value]}))


def test_the_identifier_is_looked_at_first() -> None:
    assert str(refusal("", {"1": 1}, token="\0")).startswith("identifier: ")


@pytest.mark.parametrize("bad", ["\0", math.nan, math.inf])
def test_a_refusal_never_tells_what_is_in_the_credentials(bad: object) -> None:
    secrets: list[dict[str, Any]] = [
        {"token": "hunter2", "k": bad},
        {"token": f"hunter2{bad}", "x": ["\0hunter2"]},
    ]
    for auth in secrets:
        assert "hunter2" not in str(refusal(**auth))


def test_every_refusal_is_a_400() -> None:
    error = refusal("")
    assert (400, "invalid") == (error.code, error.reason)


@given(st.text(max_size=20))
@settings(max_examples=200)
def test_a_parameter_name_is_allowed_exactly_if_it_matches_the_contract(name: str) -> None:
    allowed = PARAMETER_NAME.match(name) and name not in ("identifier", "target", "auth")
    try:
        check_spec(JobSpec("timer", "t-1", {name: "x"}))
    except InvalidRequest:
        assert not allowed
    else:
        assert allowed


@given(st.text(max_size=30) | st.text(st.characters(categories=["Cc", "Cf", "Zs", "Zl", "Zp"])))
@settings(max_examples=200)
def test_an_identifier_is_allowed_exactly_if_it_is_not_blank_and_has_no_nul(
    identifier: str,
) -> None:
    allowed = identifier.strip() != "" and "\0" not in identifier
    try:
        check_spec(JobSpec("timer", identifier))
    except InvalidRequest:
        assert not allowed
    else:
        assert allowed
