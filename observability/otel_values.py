"""What the SDK for OpenTelemetry understands in each of the `OTEL_*` variables that it reads.

Sources: the specification's configuration/sdk-environment-variables.md and protocol/exporter.md,
and the SDK's own parsing (1.45). `OTEL_EXPORTER_OTLP_TIMEOUT` is milliseconds in the former and
seconds in the latter.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote

HTTP_URL = re.compile(r"(?i:https?)://([^\s/:@\[]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]+))?(/\S*)?")
GRPC_TARGET = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock):\S+")
# What the SDK reads, and does not print in a warning: not , ; " or \ unless they are encoded.
# gRPC takes a header whose name ends with -bin for bytes.
_HEADER = re.compile(
    r"[A-Za-z0-9_.-]+(?<!(?i:-bin))\s*=[\x20\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
)
_SENDABLE = re.compile(r"[\x20-\x7e]*")
_PORTS = range(1, 65536)
_INTEGERS = range(2**31)  # of the specification
_SAMPLERS = ("always_on", "always_off", "traceidratio")
_STATUS_CODES = (
    "cancelled unknown invalid_argument deadline_exceeded not_found already_exists"
    " permission_denied resource_exhausted failed_precondition aborted out_of_range unimplemented"
    " internal unavailable data_loss unauthenticated"
)
_PEM = b"-----BEGIN "
_MILLISECONDS = 1000.0  # nobody means seconds from here on


def _one_of(*values: str) -> Callable[[str], str | None]:
    return lambda given: lower if (lower := given.lower()) in values else None


def _like(pattern: str) -> Callable[[str], str | None]:
    return lambda given: given if re.fullmatch(pattern, given) else None


def _integer(given: str, *, least: int) -> str | None:
    number = int(given) if re.fullmatch(r"[0-9]{1,10}", given) else -1
    return str(number) if number in _INTEGERS and number >= least else None


def _plugin(given: str, *, group: str) -> str | None:
    return given if entry_points(group=group, name=given) else None


def _propagator(given: str) -> str | None:
    built_in = _one_of("tracecontext", "baggage", "none")
    return built_in(given) or _plugin(given.lower(), group="opentelemetry_propagator")


def _detector(given: str) -> str | None:
    return "*" if given == "*" else _plugin(given, group="opentelemetry_resource_detector")


def _protocol(given: str) -> str | None:
    """Whoever takes JSON over HTTP takes protobuf at the same address."""
    known = _one_of("grpc", "http/protobuf", "http/json")(given)
    return "http/protobuf" if known == "http/json" else known


def _seconds(given: str) -> str | None:
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{0,9})?|\.[0-9]{1,9}", given) or not float(given):
        return None
    return given if float(given) < _MILLISECONDS else f"{float(given) / 1000:g}"


def _endpoint(given: str) -> str | None:
    """A URL, or what gRPC takes for a target; a bare HOST:PORT is one."""
    if GRPC_TARGET.fullmatch(given):
        return given
    match = HTTP_URL.fullmatch(given if "://" in given else f"http://{given}")
    return given if match and int(match["port"] or _PORTS[0]) in _PORTS else None


def _header(given: str) -> str | None:
    return given if _HEADER.fullmatch(given) and _SENDABLE.fullmatch(unquote(given)) else None


def _pem_file(given: str) -> str | None:
    try:
        return given if Path(given).is_file() and _PEM in Path(given).read_bytes() else None
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Rule:
    """`read` makes of a value what the SDK understands, None where there is no such thing.

    A list stands with commas between, and each part is read by itself.
    """

    names: str
    read: Callable[[str], str | None]
    allowed: str
    is_list: bool = False


_OTLP = "OTEL_EXPORTER_OTLP_(TRACES_)?"
_ARE_OURS = "the supervisor has a provider of its own"
_listed = partial(Rule, is_list=True)

RULES = (
    _listed(r"OTEL_TRACES_EXPORTER", _one_of("otlp", "console", "none"), "otlp, console, none"),
    Rule(rf"{_OTLP}PROTOCOL", _protocol, "grpc or http/protobuf"),
    Rule(rf"{_OTLP}TIMEOUT", _seconds, "seconds above 0; from 1000 on they are milliseconds"),
    Rule(rf"{_OTLP}COMPRESSION", _one_of("none", "gzip", "deflate"), "none, gzip or deflate"),
    Rule(rf"{_OTLP}ENDPOINT", _endpoint, "http://HOST:PORT, without a password in it"),
    _listed(rf"{_OTLP}HEADERS", _header, "NAME=VALUE,… with URL-encoded values"),
    Rule(rf"{_OTLP}INSECURE", _one_of("true", "false"), "true or false"),
    Rule(rf"{_OTLP}(CLIENT_)?CERTIFICATE", _pem_file, "the path of a readable PEM file"),
    Rule(rf"{_OTLP}CLIENT_KEY", _pem_file, "the path of a readable PEM file"),
    _listed(r"OTEL_RESOURCE_ATTRIBUTES", _like(r"[^\s,=]+\s*=[^,]*"), "KEY=VALUE,KEY=VALUE"),
    Rule(
        r"OTEL_(SDK_DISABLED|PYTHON_SDK_INTERNAL_METRICS_ENABLED)",
        _one_of("true", "false"),
        "true or false",
    ),
    _listed(
        r"OTEL_PROPAGATORS",
        _propagator,
        "tracecontext, baggage, none, and propagators that are installed",
    ),
    Rule(
        r"OTEL_TRACES_SAMPLER",
        _one_of(*_SAMPLERS, *(f"parentbased_{sampler}" for sampler in _SAMPLERS)),
        "[parentbased_]always_on, always_off or traceidratio",
    ),
    Rule(r"OTEL_BSP_EXPORT_TIMEOUT", partial(_integer, least=0), "a whole number"),
    Rule(r"OTEL_BSP_\w+", partial(_integer, least=1), "a whole number above 0, below 2^31"),
    Rule(r"OTEL_\w+_LIMIT", partial(_integer, least=0), "a whole number below 2^31"),
    _listed(r"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", _detector, "detectors that are installed"),
    Rule(
        r"OTEL_PYTHON_CONTEXT",
        partial(_plugin, group="opentelemetry_context"),
        "what is installed",
    ),
    Rule(
        r"OTEL_PYTHON_EXPORTER_OTLP_\w+_CREDENTIAL_PROVIDER",
        partial(_plugin, group="opentelemetry_otlp_credential_provider"),
        "what is installed",
    ),
    _listed(
        r"OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES",
        _one_of(*_STATUS_CODES.split()),
        "names of gRPC's status codes",
    ),
    Rule(r"OTEL_PYTHON_(TRACER|METER)_PROVIDER", lambda _: None, f"nothing: {_ARE_OURS}"),
)
TEXT = Rule(r".*", lambda given: given, "UTF-8")
