import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import TooLarge
from service.jobs.arguments import arguments_of, check_size
from service.jobs.catalog_keys import Entry
from service.jobs.compact_json import compact_json
from service.jobs.credentials import auth_in
from service.jobs.model import JobSpec, JsonValue, Kind

ACTION = Entry(kind=Kind.ACTION, image="supervisor-timer")
WITH_FIRST = Entry(kind=Kind.ACTION, image="supervisor-github", first_argument="setup-webhook")
# An image may have a variable of this name.
_ENVIRONMENT = ("PATH=/bin", 'AREA_AUTH={"token":"of the image"}')


def arguments(
    params: Mapping[str, JsonValue] | None = None,
    auth: Mapping[str, JsonValue] | None = None,
    identifier: str = "t-1",
    entry: Entry = ACTION,
) -> list[str]:
    spec = JobSpec("timer", identifier, params or {}, auth or {})
    return list(arguments_of(spec, entry, "localhost:50050"))


def params_of(**params: JsonValue) -> list[str]:
    return arguments(params)[6:]


# Arguments


def test_the_arguments_stand_in_the_promised_order() -> None:
    params: dict[str, JsonValue] = {"b": "2", "a": "1", "B": "3", "_": "4"}
    assert [
        "setup-webhook",
        *("--target", "localhost:50050"),
        *("--identifier", "t-1"),
        *("--auth", '{"token":"x"}'),
        *("--B", "3"),
        *("--_", "4"),
        *("--a", "1"),
        *("--b", "2"),
    ] == arguments(params, {"token": "x"}, entry=WITH_FIRST)


def test_without_a_first_argument_the_target_comes_first_and_absent_auth_is_an_empty_object() -> (
    None
):
    assert [
        *("--target", "localhost:50050"),
        *("--identifier", "t-1"),
        *("--auth", "{}"),
    ] == arguments()


@pytest.mark.parametrize(
    ("value", "argument"),
    [
        ("Paris", "Paris"),
        ("", ""),
        ('say "hi"', 'say "hi"'),
        ("--auth", "--auth"),
        ("two\nlines", "two\nlines"),
        ("é", "é"),
        ("null", "null"),
        (1000000, "1000000"),
        (0, "0"),
        (-7, "-7"),
        (2**53, "9007199254740992"),
        (10**22, "10000000000000000000000"),
        (0.1, "0.1"),
        (-2.5, "-2.5"),
        (1 / 3, "0.3333333333333333"),
        (True, "true"),
        (False, "false"),
        ([], "[]"),
        ({}, "{}"),
        ([1, "a", None, True, 0.5], '[1,"a",null,true,0.5]'),
        ({"b": [1000000, {"c": None}], "a": "é"}, '{"a":"é","b":[1000000,{"c":null}]}'),
        (["a, b: c"], '["a, b: c"]'),
    ],
)
def test_a_value_becomes_one_argument(value: JsonValue, argument: str) -> None:
    assert ["--key", argument] == params_of(key=value)


def test_a_null_parameter_is_left_out() -> None:
    assert ["--a", "1", "--c", "3"] == params_of(a=1, b=None, c=3)


def test_credentials_keep_their_nulls_and_numbers() -> None:
    auth: dict[str, JsonValue] = {"expires": 1000000, "list": [1, None], "refresh": None}
    assert '{"expires":1000000,"list":[1,null],"refresh":null}' == arguments(auth=auth)[5]


PLAIN_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # no integral floats: the conversion from the contract has made integers of them
    .filter(lambda number: not number.is_integer())
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abZ_", min_size=1, max_size=3), PLAIN_JSON, max_size=4))
@settings(max_examples=60)
def test_a_worker_reads_back_what_was_sent(params: dict[str, Any]) -> None:
    rest = params_of(**params)
    given_values = {key: value for key, value in params.items() if value is not None}
    keys, values = rest[0::2], rest[1::2]
    assert [f"--{key}" for key in sorted(given_values)] == keys
    for key, value in zip(sorted(given_values), values, strict=True):
        expected = given_values[key]
        assert expected == (value if isinstance(expected, str) else json.loads(value))


@given(PLAIN_JSON)
@settings(max_examples=100)
def test_json_is_compact(value: Any) -> None:
    text = compact_json(value)
    assert value == json.loads(text)
    outside_strings = re.sub(r'"(\\.|[^"\\])*"', '""', text)
    assert not re.search(r"\s", outside_strings)


# The credentials among the arguments


@pytest.mark.parametrize("entry", [ACTION, WITH_FIRST])
@pytest.mark.parametrize("identifier", ["t-1", "--auth", "--identifier", "--target", "{}"])
@pytest.mark.parametrize("params", [{}, {"a": "--auth", "b": '{"token":"other"}'}])
def test_credentials_are_found_by_their_place(
    entry: Entry, identifier: str, params: dict[str, JsonValue]
) -> None:
    found = auth_in(arguments(params, {"token": "hunter2"}, identifier, entry), _ENVIRONMENT)
    assert {"token": "hunter2"} == found


def test_credentials_are_found_behind_a_first_argument_that_looks_like_an_option() -> None:
    odd = Entry(kind=Kind.ACTION, image="x", first_argument="--target")
    assert {"token": "x"} == auth_in(arguments({}, {"token": "x"}, entry=odd), ())


@pytest.mark.parametrize(
    "others", [[], ["--auth"], ["serve"], ["--target", "a", "--identifier", "b", "--auth"]]
)
def test_arguments_of_another_program_have_no_credentials(others: list[str]) -> None:
    assert auth_in(others, ()) is None


@given(st.text(min_size=1, max_size=40), st.dictionaries(st.text(max_size=5), PLAIN_JSON))
@settings(max_examples=50)
def test_any_credentials_are_found_again(identifier: str, auth: dict[str, Any]) -> None:
    assert auth == auth_in(arguments({}, auth, identifier), ())


# Size


def refusal(params: Mapping[str, JsonValue], auth: Mapping[str, JsonValue] | None = None) -> str:
    with pytest.raises(TooLarge) as caught:
        check_size(arguments(params, auth), {})
    assert 413 == caught.value.code
    return str(caught.value)


def test_an_argument_of_131071_bytes_fits() -> None:
    check_size(arguments({"text": "x" * 131_071}), {})
    check_size(arguments({"text": "é" * 65_535 + "x"}), {})


def test_an_argument_of_131072_bytes_is_refused_with_its_field() -> None:
    told = "params: 'text': is 131072 bytes as an argument; at most 131071 are allowed"
    assert told == refusal({"text": "x" * 131_072})
    assert told == refusal({"text": "é" * 65_536})


def test_an_identifier_of_131072_bytes_is_refused_with_its_field() -> None:
    for entry in (ACTION, WITH_FIRST):
        check_size(arguments(identifier="é" * 65_535, entry=entry), {})
        with pytest.raises(TooLarge) as caught:
            check_size(arguments(identifier="é" * 65_536, entry=entry), {})
        told = "identifier: is 131072 bytes as an argument; at most 131071 are allowed"
        assert told == str(caught.value)


def test_credentials_of_131072_bytes_are_refused_without_telling_them() -> None:
    frame = len('{"token":""}')
    check_size(arguments({}, {"token": "s" * (131_071 - frame)}), {})
    told = "auth: is 131072 bytes as an argument; at most 131071 are allowed"
    assert told == refusal({}, {"token": "s" * (131_072 - frame)})


def test_an_overlong_parameter_name_is_refused_in_short() -> None:
    message = refusal({"k" * 131_072: "x"})
    assert message.startswith("params: 'kkkk")
    assert len(message) < 300


def test_an_overlong_parameter_name_after_a_value_like_an_option_is_told_as_itself() -> None:
    assert refusal({"a": "--auth", "k" * 131_072: "x"}).startswith("params: 'kkkk")


def size_of(entries: list[str]) -> int:
    return sum(len(entry.encode()) + 1 + 8 for entry in entries)


def filled_up_to(total: int, environment: Mapping[str, str]) -> list[str]:
    """Arguments of this size together with the environment, none of them too long by itself."""
    variables = [f"{key}={value}" for key, value in environment.items()]
    fixed: dict[str, JsonValue] = {f"p{number}": "x" * 120_000 for number in range(8)}
    missing = total - size_of([*arguments(fixed | {"rest": ""}), *variables])
    return arguments(fixed | {"rest": "x" * missing})


@pytest.mark.parametrize("environment", [{}, {"TRACEPARENT": f"00-{'1' * 32}-{'2' * 16}-01"}])
def test_all_together_may_take_one_mebibyte_and_no_more(environment: dict[str, str]) -> None:
    check_size(filled_up_to(1_048_576, environment), environment)
    with pytest.raises(TooLarge) as caught:
        check_size(filled_up_to(1_048_577, environment), environment)
    told = "identifier, params and auth: are 1048577 bytes as arguments; at most 1048576"
    assert f"{told} are allowed together" == str(caught.value)
