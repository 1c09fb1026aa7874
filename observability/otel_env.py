"""The standard `OTEL_*` variables, held against their rules before anything reads them.

The SDK reads some when it is imported, and answers a wrong one with a traceback or takes it for
something else. So this module imports nothing of it, and runs before anything that does.
"""

import os
import re

_URL = r"(https?://)?([^\s/:\[]+|\[[0-9A-Fa-f:.]+\])(:\d+)?(/\S*)?"
_PROPAGATORS = r"(tracecontext|baggage|none)(\s*,\s*(tracecontext|baggage|none))*"
_SAMPLERS = r"(parentbased_)?(always_on|always_off|traceidratio)"
_RULES = (
    (r"OTEL_TRACES_EXPORTER", r"otlp|console|none", "otlp, console or none"),
    (r"OTEL_EXPORTER_OTLP_(TRACES_)?PROTOCOL", r"grpc|http/protobuf", "grpc or http/protobuf"),
    (r"OTEL_EXPORTER_OTLP_(TRACES_)?TIMEOUT", r"\d+(\.\d+)?", "a number of seconds"),
    (r"OTEL_EXPORTER_OTLP_(TRACES_)?COMPRESSION", r"none|gzip|deflate", "none, gzip or deflate"),
    (r"OTEL_EXPORTER_OTLP_(TRACES_)?ENDPOINT", _URL, "http://HOST:PORT"),
    (r"OTEL_PROPAGATORS", _PROPAGATORS, "tracecontext, baggage and none"),
    (r"OTEL_TRACES_SAMPLER", _SAMPLERS, "[parentbased_]always_on, always_off or traceidratio"),
    (r"OTEL_TRACES_SAMPLER_ARG", r"0(\.\d+)?|1(\.0+)?", "a number from 0 to 1"),
    (r"OTEL_BSP_\w+", r"[1-9]\d*", "a whole number above 0"),
    (r"OTEL_\w+_LIMIT", r"\d+", "a whole number"),
)
_BATCH, _QUEUE = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_MAX_QUEUE_SIZE"
_BATCH_DEFAULT, _QUEUE_DEFAULT = "512", "2048"


class TracingError(Exception):
    """A standard variable asks for what is not there."""


def check_variables() -> None:
    """Raise `TracingError` with the variable, its value and what is allowed.

    An empty variable means unset, by the specification; the SDK forgets that, so it is deleted.
    """
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        if value := os.environ[name].strip():
            _check(name, value)
        else:
            del os.environ[name]
    batch, queue = os.environ.get(_BATCH, _BATCH_DEFAULT), os.environ.get(_QUEUE, _QUEUE_DEFAULT)
    if int(batch) > int(queue):
        raise TracingError(f"{_BATCH}={batch}: allowed is at most {_QUEUE}, which is {queue}")


def _check(name: str, value: str) -> None:
    for names, values, allowed in _RULES:
        if re.fullmatch(names, name) and not re.fullmatch(values, value):
            raise TracingError(f"{name}={value}: allowed is {allowed}")
