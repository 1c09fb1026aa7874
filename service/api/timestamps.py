"""Reads and checks times in messages."""

from google.protobuf.timestamp_pb2 import Timestamp

from service.errors import InvalidRequest

_SECOND = 10**9  # nanoseconds
# From the year 1 to the year 9999, as protobuf defines it.
_FIRST, _LAST = -62_135_596_800, 253_402_300_799


def is_time(seconds: float) -> bool:
    """Whether a message can hold a time (seconds since the epoch)."""
    return _FIRST <= seconds <= _LAST


def nanoseconds_of(field: str, time: Timestamp) -> int:
    """Nanoseconds since the epoch. Raises `InvalidRequest`, with the name of the field."""
    if not (_FIRST <= time.seconds <= _LAST and 0 <= time.nanos < _SECOND):
        raise InvalidRequest(
            f"{field}: {time.seconds} seconds and {time.nanos} nanos are not a time; allowed are"
            f" {_FIRST} to {_LAST} seconds, and 0 to {_SECOND - 1} nanos"
        )
    return time.seconds * _SECOND + time.nanos
