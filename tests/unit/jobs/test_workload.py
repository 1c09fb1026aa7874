import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.callers import Caller
from service.engine.docker.names import DOCKER_NAMES
from service.engine.name_grammar import NameGrammar
from service.errors import TooLarge
from service.jobs.arguments import arguments_of, check_size
from service.jobs.catalog_keys import Entry
from service.jobs.compact_json import compact_json
from service.jobs.credentials import auth_in
from service.jobs.labels import LABEL_PREFIX, job_from_labels, labels_of
from service.jobs.model import Job, JobSpec, JsonValue, Kind
from service.jobs.workload import workload_of
from service.jobs.workload_names import base_name, highest_count, workload_name
from service.settings import Settings
from tests.support.samples import a_job

ACTION = Entry(kind=Kind.ACTION, image="supervisor-timer")
WITH_FIRST = Entry(kind=Kind.ACTION, image="supervisor-github", first_argument="setup-webhook")
# An image may have a variable of this name.
_BY = Caller("10.0.0.1:5000", "grpc-node-js", "backend")
_CREATED = 1_700_000_000.25
_ENVIRONMENT = ("PATH=/bin", 'AREA_AUTH={"token":"of the image"}')
DOCKER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
# No dots, 63 characters with what a reaction adds, and the case of letters makes no difference.
TIGHT_NAMES = NameGrammar(
    usable=re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?"),
    longest=46,
    unclean=re.compile(r"[^a-zA-Z0-9_-]+"),
    longest_cleaned=33,
    mark="-",
)
TIGHT_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?\Z")
IDENTIFIERS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
) | st.from_regex(r"[a-zA-Z0-9_./-]{1,12}(\.[0-9a-f]{12})?", fullmatch=True)
INSTANCES = st.sampled_from(["default", "demo", "a"])


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


@given(IDENTIFIERS, st.dictionaries(st.text(max_size=5), PLAIN_JSON))
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


# Names


@pytest.mark.parametrize(
    "identifier", ["weather-fetch-weather-Paris", "ab", "0_", "a.b", "x" * 512, "a." + "0" * 11]
)
def test_an_identifier_that_can_be_a_container_name_is_the_name(identifier: str) -> None:
    assert identifier == workload_name(a_job(identifier=identifier), "default", DOCKER_NAMES)


@pytest.mark.parametrize(
    ("identifier", "cleaned"),
    [
        ("a", "a"),
        ("a/b", "a-b"),
        ("/a", "a"),
        ("-a-", "a"),
        ("_a", "a"),
        ("é", "job"),
        ("...", "job"),
        ("Paris, été", "Paris-t"),
        ("a" * 300 + "/", "a" * 100),
        ("a" * 513, "a" * 100),
        ("a\n", "a"),
        ("\x1b[2J\u2028", "2J"),
        ("x.0123456789ab", "x.0123456789ab"),
    ],
)
def test_any_other_identifier_is_cleaned_and_hashed(identifier: str, cleaned: str) -> None:
    name = workload_name(a_job(identifier=identifier), "default", DOCKER_NAMES)
    assert re.fullmatch(re.escape(cleaned) + r"\.[0-9a-f]{12}", name)


@pytest.mark.parametrize(
    "alike",
    [
        ("a/b", "a-b", "a b", "a//b"),
        ("é", "è", "日", "job"),
        ("x" * 200 + "/1", "x" * 200 + "/2"),
        ("a", "-a", "a-"),
        ("A/", "a/"),
    ],
)
def test_identifiers_that_look_alike_once_cleaned_have_names_of_their_own(
    alike: tuple[str, ...],
) -> None:
    names = {base_name(identifier, "default", DOCKER_NAMES) for identifier in alike}
    assert len(alike) == len(names)


def test_an_identifier_that_is_the_name_of_another_gets_another() -> None:
    hashed = base_name("a/b", "default", DOCKER_NAMES)
    assert hashed != base_name(hashed, "default", DOCKER_NAMES)


def test_instances_have_names_of_their_own() -> None:
    instances = ("default", "demo", "demo2")
    names = {base_name("timer", instance, DOCKER_NAMES) for instance in instances}
    assert 3 == len(names)
    assert "timer" in names


@pytest.mark.parametrize("grammar", [DOCKER_NAMES, TIGHT_NAMES], ids=["Docker", "tight"])
@given(pairs=st.sets(st.tuples(INSTANCES, IDENTIFIERS), min_size=2, max_size=20))
@settings(max_examples=100)
def test_no_two_identifiers_share_a_name(grammar: NameGrammar, pairs: set[tuple[str, str]]) -> None:
    names = {base_name(identifier, instance, grammar) for instance, identifier in pairs}
    # and none looks like a name that was made of another
    again = {base_name(name, "default", grammar) for name in names}
    assert len(pairs) == len(names)
    assert len(names) == len(again)


@given(st.sets(IDENTIFIERS, min_size=2, max_size=20))
@settings(max_examples=100)
def test_where_case_makes_no_difference_names_differ_all_the_same(identifiers: set[str]) -> None:
    names = {base_name(identifier, "default", TIGHT_NAMES).lower() for identifier in identifiers}
    assert len(identifiers) == len(names)


@pytest.mark.parametrize(
    ("grammar", "allowed"), [(DOCKER_NAMES, DOCKER_NAME), (TIGHT_NAMES, TIGHT_NAME)]
)
@given(identifier=IDENTIFIERS, instance=INSTANCES, kind=st.sampled_from(Kind))
@settings(max_examples=200)
def test_a_name_is_always_one_that_the_engine_takes(
    grammar: NameGrammar, allowed: re.Pattern[str], identifier: str, instance: str, kind: Kind
) -> None:
    job = a_job(identifier=identifier, kind=kind)
    assert allowed.match(workload_name(job, instance, grammar))


def test_a_reaction_adds_its_launch_id() -> None:
    job = a_job("00ff00ff00ff00ff", identifier="mail", kind=Kind.REACTION)
    assert "mail-00ff00ff00ff00ff" == workload_name(job, "default", DOCKER_NAMES)


def test_a_name_is_the_same_each_time() -> None:
    assert "a-b.d39dc497677c" == base_name("a/b", "default", DOCKER_NAMES)


@pytest.mark.parametrize(
    ("names", "highest"),
    [
        ([], 0),
        (["job"], 0),
        (["job-1", "job-3", "job-2"], 3),
        (["job-09", "job-10"], 10),
        (["job-1-7", "xjob-8", "job-9x", "job-", "job--4", "jobs-5"], 0),
        (["job-99999999999999999999"], 0),
    ],
)
def test_a_count_goes_on_from_the_highest_there_is(names: list[str], highest: int) -> None:
    assert highest == highest_count(names, "job")


def test_a_name_with_dots_is_no_pattern() -> None:
    assert 0 == highest_count(["axb-4"], "a.b")


# Labels


@pytest.mark.parametrize(
    "job",
    [
        a_job(),
        a_job(traceparent="00-aa-bb-01"),
        a_job(identifier="é\u2028 =,", ends=True),
        a_job(kind=Kind.REACTION, name="mail", ends=True),
    ],
)
def test_a_job_is_read_back_from_its_labels(job: Job) -> None:
    assert job == job_from_labels(labels_of(job, "default"))


def test_labels_carry_a_prefix_of_their_own() -> None:
    labels = labels_of(a_job(traceparent="00-aa-bb-01"), "default")
    assert all(key.startswith(LABEL_PREFIX) for key in labels)
    assert "area.supervisor." == LABEL_PREFIX


def test_labels_say_all_that_a_restarted_supervisor_must_know() -> None:
    assert {
        "area.supervisor.instance": "demo",
        "area.supervisor.identifier": "timer-1",
        "area.supervisor.job": "timer",
        "area.supervisor.kind": "action",
        "area.supervisor.ends": "false",
        "area.supervisor.launch-id": "0123456789abcdef",
        "area.supervisor.traceparent": "00-aa-bb-01",
        "area.supervisor.client": "backend",
        "area.supervisor.created": "1700000000.250",
    } == labels_of(a_job(traceparent="00-aa-bb-01", launched_by=_BY, created_at=_CREATED), "demo")


@pytest.mark.parametrize("optional", ["traceparent", "client", "idempotency-key", "created"])
def test_what_is_not_known_of_a_launch_has_no_label(optional: str) -> None:
    assert LABEL_PREFIX + optional not in labels_of(a_job(), "demo")


def test_who_has_launched_it_and_when_is_read_back() -> None:
    job = job_from_labels(labels_of(a_job(launched_by=_BY, created_at=_CREATED), "default"))
    assert job
    assert ("backend", Caller(client="backend"), _CREATED) == (
        job.client,
        job.launched_by,
        job.created_at,
    )


@pytest.mark.parametrize("label", ["", "yesterday", "nan", "inf"])
def test_a_time_that_cannot_be_read_is_not_known(label: str) -> None:
    labels = labels_of(a_job(created_at=_CREATED), "default")
    job = job_from_labels({**labels, "area.supervisor.created": label})
    assert job
    assert 0.0 == job.created_at


@pytest.mark.parametrize("missing", ["identifier", "job", "kind", "ends", "launch-id"])
def test_incomplete_labels_are_no_job(missing: str) -> None:
    labels = dict(labels_of(a_job(), "default"))
    del labels[LABEL_PREFIX + missing]
    assert job_from_labels(labels) is None


def test_labels_of_an_unknown_kind_are_no_job() -> None:
    labels = dict(labels_of(a_job(), "default")) | {LABEL_PREFIX + "kind": "other"}
    assert job_from_labels(labels) is None


# The whole


def test_a_workload_has_everything_and_shows_no_secret() -> None:
    keys = {"kind": "action", "image": "supervisor-timer", "memory": "64m", "cpus": 0.5, "pids": 20}
    entry = Entry.model_validate(keys)
    auth: dict[str, JsonValue] = {"token": "hunter2"}
    spec = JobSpec("timer", "timer-1", {"seconds": 3}, auth)
    workload = workload_of(
        a_job(traceparent="00-aa-bb-01"),
        spec,
        entry,
        Settings(job_network="area"),
        arguments=arguments_of(spec, entry, "localhost:50050"),
        environment={"TRACEPARENT": "00-aa-bb-01"},
        names=DOCKER_NAMES,
    )
    assert ("timer-1", "supervisor-timer", "area") == (
        workload.name,
        workload.image,
        workload.network,
    )
    assert (64 * 2**20, 0.5, 20) == (
        workload.limits.memory,
        workload.limits.cpus,
        workload.limits.pids,
    )
    assert "00-aa-bb-01" == workload.labels["area.supervisor.traceparent"]
    assert {"TRACEPARENT": "00-aa-bb-01"} == workload.environment
    assert '{"token":"hunter2"}' in workload.arguments
    assert "token: [redacted]" == workload.redact("token: hunter2")
    assert "hunter2" not in f"{workload!r} {workload.labels} {workload.environment}"
