"""JSON as workers get it."""

import json

from service.jobs.model import JsonValue


def compact_json(value: JsonValue) -> str:
    """JSON without spaces and with sorted keys. A scalar looks as workers expect an argument."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
