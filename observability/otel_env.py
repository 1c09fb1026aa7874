"""The standard `OTEL_*` variables, held against their rules before anything reads them.

The SDK reads some when it is imported, and answers a wrong one with a traceback or takes it for
something else. So this module imports nothing of it, and runs before anything that does.
"""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from observability.printable import printable

_URL = re.compile(r"(https?://)?([^\s/:\[]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]+))?(/\S*)?")
_PROPAGATORS = r"(tracecontext|baggage|none)(\s*,\s*(tracecontext|baggage|none))*"
_SAMPLERS = r"(parentbased_)?(always_on|always_off|traceidratio)"
_ATTRIBUTES = r"\s*[^\s,=]+\s*=[^,]*(,\s*[^\s,=]+\s*=[^,]*)*"
# What the SDK reads, and does not print in a warning: not , ; " or \ unless they are encoded.
_HEADER = re.compile(r"\s*[A-Za-z0-9_.-]+\s*=[\x20\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_SENDABLE = re.compile(r"[\x20-\x7e]*")
_PORTS = range(1, 65536)
_PEM = b"-----BEGIN "


def _is_endpoint(value: str) -> bool:
    match = _URL.fullmatch(value)
    return match is not None and int(match["port"] or _PORTS[0]) in _PORTS


def _are_headers(value: str) -> bool:
    parts = [part for part in value.split(",") if part.strip()]
    return all(_HEADER.fullmatch(part) and _SENDABLE.fullmatch(unquote(part)) for part in parts)


def _is_pem_file(value: str) -> bool:
    try:
        return _PEM in Path(value).read_bytes()
    except (OSError, ValueError):
        return False


def _like(pattern: str) -> Callable[[str], object]:
    return partial(re.fullmatch, pattern)


_OTLP = "OTEL_EXPORTER_OTLP_(TRACES_)?"
_RULES: tuple[tuple[str, Callable[[str], object], str], ...] = (
    (r"OTEL_TRACES_EXPORTER", _like(r"otlp|console|none"), "otlp, console or none"),
    (rf"{_OTLP}PROTOCOL", _like(r"grpc|http/protobuf"), "grpc or http/protobuf"),
    (rf"{_OTLP}TIMEOUT", _like(r"[0-9]+(\.[0-9]+)?"), "a number of seconds"),
    (rf"{_OTLP}COMPRESSION", _like(r"none|gzip|deflate"), "none, gzip or deflate"),
    (rf"{_OTLP}ENDPOINT", _is_endpoint, "http://HOST:PORT"),
    (rf"{_OTLP}HEADERS", _are_headers, "NAME=VALUE,NAME=VALUE with URL-encoded values"),
    (rf"{_OTLP}INSECURE", _like(r"(?i)true|false"), "true or false"),
    (rf"{_OTLP}(CLIENT_)?CERTIFICATE", _is_pem_file, "the path of a readable PEM file"),
    (rf"{_OTLP}CLIENT_KEY", _is_pem_file, "the path of a readable PEM file"),
    (r"OTEL_RESOURCE_ATTRIBUTES", _like(_ATTRIBUTES), "KEY=VALUE,KEY=VALUE"),
    (r"OTEL_SDK_DISABLED", _like(r"(?i)true|false"), "true or false"),
    (r"OTEL_PROPAGATORS", _like(_PROPAGATORS), "tracecontext, baggage and none"),
    (
        r"OTEL_TRACES_SAMPLER",
        _like(_SAMPLERS),
        "[parentbased_]always_on, always_off or traceidratio",
    ),
    (r"OTEL_TRACES_SAMPLER_ARG", _like(r"0(\.[0-9]+)?|1(\.0+)?"), "a number from 0 to 1"),
    (r"OTEL_BSP_\w+", _like(r"[1-9][0-9]*"), "a whole number above 0"),
    (r"OTEL_\w+_LIMIT", _like(r"[0-9]+"), "a whole number"),
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
    for names, is_allowed, allowed in _RULES:
        if re.fullmatch(names, name) and not is_allowed(value):
            raise TracingError(f"{name}={_shown(name, value)}: allowed is {allowed}")


def _shown(name: str, value: str) -> str:
    """The value, unless it may be a secret: headers hold tokens, an address may a password."""
    hidden = name.endswith("HEADERS") or "@" in value
    return "(not shown)" if hidden else printable(value)
