"""How a worker gets its credentials, and how they are found in its workload again. Pure."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress

from service.engine.workload_spec import AUTH_FILE, SecretFile
from service.errors import TooLarge
from service.jobs.catalog_keys import Entry
from service.jobs.compact_json import compact_json
from service.jobs.model import JobSpec, JsonValue

AUTH_VARIABLE = "AREA_AUTH"
# What SwarmKit takes as a secret (api.MaxSecretSize), less one. The same on every engine.
MAX_FILE_BYTES = 511_999
_ARGUMENT, _FILE_ARGUMENT = "--auth", "--auth-file"
_BEFORE = ["--target", "--identifier"]


def auth_arguments(spec: JobSpec, entry: Entry) -> Sequence[str]:
    """The arguments about the credentials. They follow `--identifier`."""
    match entry.auth:
        case "argument":
            return [_ARGUMENT, _json(spec)]
        case "file":
            return [_FILE_ARGUMENT, AUTH_FILE]
    return []


def auth_environment(spec: JobSpec, entry: Entry) -> Mapping[str, str]:
    """The variables with the credentials."""
    return {AUTH_VARIABLE: _json(spec)} if entry.auth == "environment" else {}


def auth_file(spec: JobSpec, entry: Entry, launch_id: str) -> SecretFile | None:
    """The file with the credentials."""
    if entry.auth != "file":
        return None
    return SecretFile(f"area-auth-{launch_id}", _json(spec))


def check_file(spec: JobSpec, entry: Entry) -> None:
    """Raise `TooLarge` if the credentials are too large for a file."""
    size = len(_json(spec).encode()) if entry.auth == "file" else 0
    if size > MAX_FILE_BYTES:
        raise TooLarge(f"auth: is {size} bytes as a file; at most {MAX_FILE_BYTES} are allowed")


def reserved_parameters(entry: Entry) -> Sequence[str]:
    """The parameters that a worker could take for its credentials, beside those of every job."""
    return () if entry.auth == "argument" else (_FILE_ARGUMENT.removeprefix("--"),)


def has_auth_file(arguments: Sequence[str]) -> bool:
    """Whether a workload has its credentials in a file."""
    return _after(arguments, _FILE_ARGUMENT) == AUTH_FILE


def auth_in(arguments: Sequence[str], environment: Sequence[str]) -> JsonValue:
    """The credentials of a workload; None if there are none in its arguments and environment.

    The environment is of the form NAME=VALUE.
    """
    text = _after(arguments, _ARGUMENT)
    return parsed(_variable(environment) if text is None else text)


def parsed(text: str) -> JsonValue:
    """Credentials as they were given; None if these are not ours."""
    with suppress(ValueError):
        auth: JsonValue = json.loads(text)
        return auth
    return None


def _json(spec: JobSpec) -> str:
    return compact_json(dict(spec.auth))


def _after(arguments: Sequence[str], option: str) -> str | None:
    """The value of the option after `--identifier`, if it is this one.

    It is found by position: any value may look the same.
    """
    for start in (0, 1):
        head = list(arguments[start : start + 6])
        if [*head[0:3:2], *head[4:5]] == [*_BEFORE, option] and head[5:]:
            return head[5]
    return None


def _variable(environment: Sequence[str]) -> str:
    """The value of `AREA_AUTH`, or ""."""
    prefix = f"{AUTH_VARIABLE}="
    return next((each.removeprefix(prefix) for each in environment if each.startswith(prefix)), "")
