"""Reads `-p key=value`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from observability.escaping import shown
from service.client.errors import usage

_EXACT = 2**53  # the API's numbers have no more digits


def parse_parameters(texts: Sequence[str]) -> Mapping[str, Any]:
    """The parameters. Raises `CommandError`."""
    found: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not key or not sign:
            raise usage(f"-p: {shown(text)}: allowed is KEY=VALUE")
        if key in found:
            raise usage(f"-p: {shown(key)}: is given twice")
        found[key] = _value(value)
    return found


def _value(text: str) -> Any:
    """The value of a text as JSON, or else the text: also for a number that would lose digits."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    return text if _is_number(value) and not _stays(value, text) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _stays(value: float, text: str) -> bool:
    """Whether a worker gets the number as it is written here: 1.10 would become 1.1."""
    return repr(value) == text and abs(value) <= _EXACT and not text.endswith(".0")


def _refuse(name: str) -> Any:
    raise ValueError(name)
