"""Validates launches and kills. Pure. Each error names the field, and never a value of `auth`."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from observability.escaping import shown
from service.errors import InvalidRequest
from service.jobs.model import JobSpec, JsonValue

PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
RESERVED_PARAMETERS = ("identifier", "target", "auth")


def check_spec(spec: JobSpec, more_reserved: Sequence[str] = ()) -> None:
    """Raise `InvalidRequest` for the first invalid field. A job may reserve more parameters."""
    reserved = (*RESERVED_PARAMETERS, *more_reserved)
    check_identifier(spec.identifier)
    if not spec.name or spec.name.isspace():
        raise InvalidRequest("name: is empty or blank; give the name of a job of the catalogue")
    for key in sorted(spec.params):
        _check_parameter_name(key, reserved)
    _check_values("params", spec.params)
    _check_values("auth", spec.auth)


def check_identifier(identifier: str) -> None:
    """Refuse a blank identifier, which would group unrelated jobs, and one with a NUL.

    Backends build identifiers from user input, and may not survive a refusal: so everything else
    is allowed. `check_size` limits the length.
    """
    if not identifier or identifier.isspace():
        raise InvalidRequest("identifier: is empty or blank; give the job's unique identifier")
    if "\0" in identifier:
        raise InvalidRequest("identifier: has a NUL character, which no argument can carry")


def _check_parameter_name(key: str, reserved: Sequence[str]) -> None:
    if not PARAMETER_NAME.fullmatch(key):
        raise InvalidRequest(
            f"params: {shown(key)} is not a parameter name;"
            " a letter or _ and then letters, digits, _ . or - are allowed"
        )
    if key in reserved:
        raise InvalidRequest(
            f"params: {key!r} is set by the supervisor itself;"
            f" {', '.join(reserved)} are not allowed as parameters"
        )


def _check_values(field: str, values: Mapping[str, JsonValue]) -> None:
    for leaf in _leaves(dict(values)):
        if isinstance(leaf, str) and "\0" in leaf:
            raise InvalidRequest(f"{field}: has a NUL character, which no argument can carry")
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise InvalidRequest(f"{field}: has the number {leaf}, which JSON cannot carry")


def _leaves(value: JsonValue) -> Iterator[JsonValue]:
    """All strings and numbers in a value, including keys."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
