"""Makes plain values of the API's messages, for JSON and YAML. The field names are the API's."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp


def as_dict(message: Any) -> dict[str, Any]:
    """Each field, also those that are not set: with None where that is not the same as empty."""
    return {field.name: _value(message, field) for field in message.DESCRIPTOR.fields}


def _value(message: Any, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        return [as_dict(each) if field.message_type else each for each in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    if field.message_type is None:
        return value
    if field.message_type.full_name == "google.protobuf.Timestamp":
        return rfc3339(seconds_of(value))
    return as_dict(value)


def seconds_of(timestamp: Timestamp) -> float:
    """Seconds since 1970."""
    return timestamp.seconds + timestamp.nanos / 1e9


def timestamp_of(seconds: float | None) -> Timestamp | None:
    """The API's time of seconds since 1970, if there are any."""
    if seconds is None:
        return None
    whole = int(seconds)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))


def rfc3339(seconds: float) -> str:
    """A time in UTC, with microseconds."""
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
