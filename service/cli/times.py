"""Durations and times, as people write and read them."""

import re
import time
from datetime import datetime

from service.client.errors import usage

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = r"(\d+(?:\.\d+)?)([dhms])"
_DURATION = re.compile(f"(?:{_PART})+")
# Above so many of a unit, the smaller unit beside it is left out.
_EXACT = 10


def parse_since(text: str | None) -> float | None:
    """The seconds since 1970 of a time, or of as long ago as a duration. Raises `CommandError`."""
    if text is None:
        return None
    if _DURATION.fullmatch(text):
        past = sum(float(n) * _UNITS[unit] for n, unit in re.findall(_PART, text))
        return max(time.time() - past, 0.0)
    try:
        return max(datetime.fromisoformat(text).timestamp(), 0.0)
    except (ValueError, OverflowError):
        raise usage(
            f"--since: {text!r}: allowed is a duration such as 10m, 1h30m or 2d,"
            " or a time such as 2026-11-30T04:00:00Z"
        ) from None


def duration(seconds: float) -> str:
    """About how long: 45s, 2m5s, 3h, 4d."""
    left = max(int(seconds), 0)
    for (unit, size), smaller in zip(_UNITS.items(), ("h", "m", "s", ""), strict=True):
        count, rest = divmod(left, size)
        if count or unit == "s":
            beside = rest // _UNITS.get(smaller, 1) if smaller and count < _EXACT else 0
            return f"{count}{unit}" + (f"{beside}{smaller}" if beside else "")
    raise AssertionError


def ago(seconds: float) -> str:
    """How long ago a time was."""
    return duration(time.time() - seconds)
