"""The ways to the worker that credentials can take, and how they are found again."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.workload_spec import SecretFile
from service.errors import TooLarge
from service.jobs.arguments import arguments_of, check_size
from service.jobs.catalog_keys import Entry
from service.jobs.credentials import (
    auth_environment,
    auth_file,
    auth_in,
    check_file,
    has_auth_file,
    reserved_parameters,
)
from service.jobs.model import JobSpec, JsonValue, Kind
from service.jobs.workload import job_of

_AUTH: dict[str, JsonValue] = {"token": "hunter2", "é": {"{{.Node.ID}}": None}}
_JSON = '{"token":"hunter2","é":{"{{.Node.ID}}":null}}'


def _entry(auth: str, **more: Any) -> Entry:
    return Entry.model_validate({"kind": Kind.ACTION, "image": "x", "auth": auth} | more)


def _arguments(entry: Entry, **params: JsonValue) -> list[str]:
    spec = JobSpec("timer", "t-1", params, _AUTH)
    return list(arguments_of(spec, entry, "localhost:50050"))


def _environment(entry: Entry, auth: dict[str, JsonValue]) -> dict[str, str]:
    return dict(auth_environment(JobSpec("timer", "t-1", {}, auth), entry))


def _lines(environment: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environment.items()]


@pytest.mark.parametrize("first", [{}, {"first_argument": "fetch"}])
def test_with_environment_no_argument_has_the_credentials(first: dict[str, str]) -> None:
    entry = _entry("environment", **first)
    head = ["--target", "localhost:50050", "--identifier", "t-1"]
    assert [*first.values(), *head, "--a", "1"] == _arguments(entry, a=1)
    assert {"AREA_AUTH": _JSON} == _environment(entry, _AUTH)


def test_by_default_credentials_are_an_argument_and_no_variable() -> None:
    entry = Entry(kind=Kind.ACTION, image="x")
    assert ["--auth", _JSON] == _arguments(entry)[4:6]
    assert {} == _environment(entry, _AUTH)


@pytest.mark.parametrize("first", [{}, {"first_argument": "fetch"}])
@given(auth=st.dictionaries(st.text(max_size=5), st.text(max_size=9)))
@settings(max_examples=30)
def test_credentials_are_found_again_in_the_environment(
    first: dict[str, str], auth: dict[str, Any]
) -> None:
    entry = _entry("environment", **first)
    environment = ["PATH=/bin", *_lines(_environment(entry, auth)), "AREA_AUTHOR=x"]
    assert auth == auth_in(_arguments(entry, a="--auth", b='{"token":1}'), environment)


@pytest.mark.parametrize("environment", [[], ["AREA_AUTH="], ["AREA_AUTH=no JSON"], ["AREA_AUTH"]])
def test_where_there_are_none_none_are_found(environment: list[str]) -> None:
    assert auth_in(_arguments(_entry("environment")), environment) is None


def test_credentials_that_are_too_long_for_a_variable_are_refused_without_telling_them() -> None:
    entry = _entry("environment")
    frame = len('AREA_AUTH={"token":""}')
    fits, too_long = (
        _environment(entry, {"token": "s" * (size - frame)}) for size in (131_071, 131_072)
    )
    check_size(_arguments(entry), fits)
    with pytest.raises(TooLarge) as caught:
        check_size(_arguments(entry), too_long)
    told = "auth: is 131072 bytes as a variable; at most 131071 are allowed"
    assert (413, told) == (caught.value.code, str(caught.value))


def test_json_in_a_variable_is_that_of_the_argument() -> None:
    given_json = _environment(_entry("environment"), _AUTH)["AREA_AUTH"]
    assert _AUTH == json.loads(given_json)
    assert given_json == _arguments(_entry("argument"))[5]


@pytest.mark.parametrize("first", [{}, {"first_argument": "fetch"}])
def test_with_file_only_its_path_is_an_argument_where_the_credentials_were(
    first: dict[str, str],
) -> None:
    entry = _entry("file", **first)
    head = ["--target", "localhost:50050", "--identifier", "t-1"]
    path = "/run/area-auth/auth.json"
    given_arguments = _arguments(entry, a=1)
    assert [*first.values(), *head, "--auth-file", path, "--a", "1"] == given_arguments
    assert {} == _environment(entry, _AUTH)
    assert has_auth_file(given_arguments)
    assert auth_in(given_arguments, ["PATH=/bin"]) is None
    file = auth_file(JobSpec("timer", "t-1", {}, _AUTH), entry, "0" * 16)
    assert SecretFile("area-auth-0000000000000000", _JSON) == file
    assert "hunter2" not in repr(file)


@pytest.mark.parametrize("auth", ["argument", "environment"])
def test_without_file_there_is_none_whatever_the_parameters_say(auth: str) -> None:
    params: dict[str, JsonValue] = {"auth-file": "/run/area-auth/auth.json"}
    entry = _entry(auth)
    assert auth_file(JobSpec("timer", "t-1", {}, _AUTH), entry, "0" * 16) is None
    if auth == "argument":
        assert not has_auth_file(_arguments(entry, **params))


def test_a_parameter_that_a_worker_could_take_for_its_file_is_reserved_where_it_has_none() -> None:
    assert [(), ("auth-file",), ("auth-file",)] == [
        reserved_parameters(_entry(auth)) for auth in ("argument", "file", "environment")
    ]


def test_a_file_may_be_as_large_as_a_secret_of_a_swarm() -> None:
    entry, frame = _entry("file"), len('{"token":""}')
    fits, too_long = (
        JobSpec("timer", "t-1", {}, {"token": "é" * ((size - frame) // 2)})
        for size in (511_998, 512_000)
    )
    check_file(fits, entry)
    check_file(too_long, _entry("argument"))
    with pytest.raises(TooLarge) as caught:
        check_file(too_long, entry)
    assert "auth: is 512000 bytes as a file; at most 511999 are allowed" == str(caught.value)


def test_a_job_keeps_what_finds_its_credentials_if_they_are_in_a_file_alone() -> None:
    spec = JobSpec("timer", "t-1", {}, _AUTH)
    jobs = [job_of(spec, _entry(auth), None) for auth in ("argument", "environment", "file")]
    assert [False, False, True] == [job.redact is not None for job in jobs]
    assert "hunter2" not in repr(jobs)
    assert jobs[2].redact is not None
    assert "it is [redacted]" == jobs[2].redact("it is hunter2")
