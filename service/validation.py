"""What a request may contain. Pure; each refusal names the field, and never a value of `auth`."""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping

from service.errors import InvalidRequest
from service.job import JobSpec, JsonValue

MAX_IDENTIFIER_CHARACTERS = 512
PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
RESERVED_PARAMETERS = ("identifier", "target", "auth")
_SHOWN_CHARACTERS = 80


def check_spec(spec: JobSpec) -> None:
    """Raise `InvalidRequest` for the first field that is not allowed."""
    check_identifier(spec.identifier)
    for key in sorted(spec.params):
        _check_parameter_name(key)
    _check_values("params", spec.params)
    _check_values("auth", spec.auth)


def check_identifier(identifier: str) -> None:
    """Raise `InvalidRequest` for an identifier that cannot name a job."""
    if not identifier.strip():
        raise InvalidRequest("identifier: is empty or blank; give the job's unique identifier")
    if len(identifier) > MAX_IDENTIFIER_CHARACTERS:
        raise InvalidRequest(
            f"identifier: has {len(identifier)} characters;"
            f" at most {MAX_IDENTIFIER_CHARACTERS} are allowed"
        )
    for position, character in enumerate(identifier):
        if unicodedata.category(character) == "Cc":
            raise InvalidRequest(
                f"identifier: has the control character U+{ord(character):04X}"
                f" at position {position}; control characters are not allowed"
            )


def shown(text: str) -> str:
    """A client's text, quoted and short enough for an error message."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return repr(cut)


def _check_parameter_name(key: str) -> None:
    if not PARAMETER_NAME.fullmatch(key):
        raise InvalidRequest(
            f"params: {shown(key)} is not a parameter name;"
            " a letter or _ and then letters, digits, _ . or - are allowed"
        )
    if key in RESERVED_PARAMETERS:
        raise InvalidRequest(
            f"params: {key!r} is set by the supervisor itself;"
            f" {', '.join(RESERVED_PARAMETERS)} are not allowed as parameters"
        )


def _check_values(field: str, values: Mapping[str, JsonValue]) -> None:
    for leaf in _leaves(dict(values)):
        if isinstance(leaf, str) and "\0" in leaf:
            raise InvalidRequest(f"{field}: has a NUL character, which no argument can carry")
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise InvalidRequest(f"{field}: has the number {leaf}, which JSON cannot carry")


def _leaves(value: JsonValue) -> Iterator[JsonValue]:
    """Every string and number in the value, keys included."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
