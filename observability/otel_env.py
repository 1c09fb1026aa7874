"""Corrects the standard `OTEL_*` variables, so that the SDK can read them.

Programs in many languages share these variables. The specification says that a program has to warn
of a value that it does not support, and ignore it. But the Python SDK raises an error for several
variables, of which it reads some at its import. So this module does not import the SDK, runs before
anything that does, and leaves only values in `os.environ` that the SDK supports.

Sources: the specification's configuration/sdk-environment-variables.md and protocol/exporter.md,
and the SDK's parsing (1.45). `OTEL_EXPORTER_OTLP_TIMEOUT` is in milliseconds in the specification,
and in seconds in the SDK.
"""

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from observability.corrected_variables import Correction
from observability.escaping import printable

_TRACES, _ALL = "OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"
_SAMPLER = "OTEL_TRACES_SAMPLER"
_SAMPLERS = ("always_on", "always_off", "traceidratio")
_BATCH, _QUEUE = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_MAX_QUEUE_SIZE"
_BATCH_DEFAULT, _QUEUE_DEFAULT = 512, 2048
_HTTP_URL = re.compile(r"(?i:https?)://([^\s/:@\[]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]+))?(/\S*)?")
_GRPC_TARGET = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock):\S+")
# Headers that the SDK reads without printing them in a warning: , ; " and \ have to be encoded. A
# name may not end with -bin, because gRPC expects bytes then.
_HEADER = re.compile(
    r"[A-Za-z0-9_.-]+(?<!(?i:-bin))\s*=[\x20\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
)
_SENDABLE = re.compile(r"[\x20-\x7e]*")
_STATUS_CODES = (
    "cancelled unknown invalid_argument deadline_exceeded not_found already_exists"
    " permission_denied resource_exhausted failed_precondition aborted out_of_range unimplemented"
    " internal unavailable data_loss unauthenticated"
)
_PORTS = range(1, 65536)
_INTEGERS = range(2**31)  # allowed by the specification
_MILLISECONDS = 1000.0  # from here on, a timeout is in milliseconds
_PEM = b"-----BEGIN "
# Signs of a password or a query in an address, and of a key in place of its file.
_SECRET_SIGNS = ("@", "?", "-----BEGIN ")


def correct_variables() -> list[Correction]:
    """Correct the variables in the environment. Return the corrections.

    By the specification, an empty variable counts as unset. The SDK does not support that, so empty
    variables are deleted.
    """
    names = [name for name in os.environ if name.startswith("OTEL_")]
    # In the order of the rules: some use the corrected values of others.
    settled = [_correct(name) for name in sorted(names, key=lambda name: (_rank(name), name))]
    return [*filter(None, settled), *_correct_batch()]


def protocol() -> str:
    """The protocol of the exporter of spans. The default is grpc."""
    return for_traces("PROTOCOL") or "grpc"


def for_traces(name: str) -> str:
    """The value of a variable of the exporter, or ""."""
    return os.environ.get(_TRACES + name) or os.environ.get(_ALL + name) or ""


class _Rule(NamedTuple):
    """The rule for variables. `read` returns a value for the SDK, or None if there is none.

    The items of a list are separated by commas, and each is read by itself.
    """

    names: str
    read: Callable[[str], str | None]
    allowed: str
    is_list: bool = False


def _rank(name: str) -> int:
    return next(rank for rank, rule in enumerate(_RULES) if re.fullmatch(rule.names, name))


def _correct(name: str) -> Correction | None:
    rule = _RULES[_rank(name)]
    value = os.environ.pop(name).strip()
    given = [part for part in map(str.strip, value.split(",") if rule.is_list else [value]) if part]
    read = [(part, rule.read(part) if _is_text(part) else None) for part in given]
    used = ",".join(dict.fromkeys(good for _, good in read if good is not None))
    if used:
        os.environ[name] = used
    if all(good is not None and good.lower() == part.lower() for part, good in read):
        return None
    return Correction(name, _shown(name, value), _shown(name, used), f"allowed is {rule.allowed}")


def _is_text(value: str) -> bool:
    """Whether it is UTF-8, which all exported texts have to be."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _correct_batch() -> Iterator[Correction]:
    """Limit the size of a batch to that of the queue, even if only one of them is set."""
    batch = int(os.environ.get(_BATCH, _BATCH_DEFAULT))
    queue = int(os.environ.get(_QUEUE, _QUEUE_DEFAULT))
    if batch > queue:
        os.environ[_BATCH] = str(queue)
        yield Correction(_BATCH, str(batch), str(queue), f"allowed is at most {_QUEUE}")


def _shown(name: str, value: str) -> str:
    """The value, unless it may contain a secret: headers, a password in an address, or a key."""
    hidden = value and (name.endswith("HEADERS") or any(sign in value for sign in _SECRET_SIGNS))
    return "(not shown)" if hidden else printable(value)


def _one_of(*values: str) -> Callable[[str], str | None]:
    return lambda given: lower if (lower := given.lower()) in values else None


def _like(pattern: str) -> Callable[[str], str | None]:
    return lambda given: given if re.fullmatch(pattern, given) else None


def _installed(given: str, *, group: str, besides: str = "") -> str | None:
    """The name of an installed plug-in, or `besides`."""
    names = (given, given.lower())
    return next((n for n in names if n == besides or entry_points(group=group, name=n)), None)


def _integer(given: str, *, least: int) -> str | None:
    number = int(given) if re.fullmatch(r"[0-9]{1,10}", given) else -1
    return str(number) if number in _INTEGERS and number >= least else None


def _ratio(given: str) -> str | None:
    """A ratio for a sampler of ratios. For other samplers the argument is not checked."""
    if "traceidratio" not in os.environ.get(_SAMPLER, ""):
        return given
    try:
        return given if 0 <= float(given) <= 1 else None
    except ValueError:
        return None


def _protocol(given: str) -> str | None:
    """A protocol. A collector that accepts JSON over HTTP accepts protobuf at the same address."""
    known = _one_of("grpc", "http/protobuf", "http/json")(given)
    return "http/protobuf" if known == "http/json" else known


def _compression(given: str) -> str | None:
    return _one_of("none", "gzip", *(["deflate"] if protocol() != "grpc" else []))(given)


def _seconds(given: str) -> str | None:
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{0,9})?|\.[0-9]{1,9}", given) or not float(given):
        return None
    return given if float(given) < _MILLISECONDS else f"{float(given) / 1000:g}"


def _header(given: str) -> str | None:
    return given if _HEADER.fullmatch(given) and _SENDABLE.fullmatch(unquote(given)) else None


def _endpoint(given: str) -> str | None:
    """A URL, or for gRPC a target. HOST:PORT becomes a URL.

    If there are headers, which may contain tokens, the URL is encrypted.
    """
    over_grpc = protocol() == "grpc"
    if _GRPC_TARGET.fullmatch(given):
        return given if over_grpc else None
    scheme = "https" if for_traces("HEADERS") else "http"
    url = given if "://" in given else f"{scheme}://{given}"
    match = _HTTP_URL.fullmatch(url)
    if match is None or int(match["port"] or _PORTS[0]) not in _PORTS:
        return None
    return given if over_grpc else url


def _pem_file(given: str) -> str | None:
    try:
        return given if Path(given).is_file() and _PEM in Path(given).read_bytes() else None
    except (OSError, ValueError):
        return None


_OTLP = "OTEL_EXPORTER_OTLP_(TRACES_)?"
_listed = partial(_Rule, is_list=True)
_RULES = (
    _listed(r"OTEL_TRACES_EXPORTER", _one_of("otlp", "console", "none"), "otlp, console, none"),
    _Rule(rf"{_OTLP}PROTOCOL", _protocol, "grpc or http/protobuf"),
    _listed(rf"{_OTLP}HEADERS", _header, "NAME=VALUE,… with URL-encoded values"),
    _Rule(rf"{_OTLP}ENDPOINT", _endpoint, "http://HOST:PORT, without a password in it"),
    _Rule(rf"{_OTLP}COMPRESSION", _compression, "none or gzip; over HTTP deflate, too"),
    _Rule(rf"{_OTLP}TIMEOUT", _seconds, "seconds above 0; from 1000 on they are milliseconds"),
    _Rule(rf"{_OTLP}((CLIENT_)?CERTIFICATE|CLIENT_KEY)", _pem_file, "the path of a PEM file"),
    _Rule(
        rf"({_OTLP}INSECURE|OTEL_SDK_DISABLED|OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED)",
        _one_of("true", "false"),
        "true or false",
    ),
    _listed(r"OTEL_RESOURCE_ATTRIBUTES", _like(r"[^\s,=]+\s*=[^,]*"), "KEY=VALUE,KEY=VALUE"),
    _listed(
        r"OTEL_PROPAGATORS",
        partial(_installed, group="opentelemetry_propagator", besides="none"),
        "tracecontext, baggage, none, and propagators that are installed",
    ),
    _Rule(
        _SAMPLER,
        _one_of(*_SAMPLERS, *(f"parentbased_{sampler}" for sampler in _SAMPLERS)),
        "[parentbased_]always_on, always_off or traceidratio",
    ),
    _Rule(rf"{_SAMPLER}_ARG", _ratio, "a number from 0 to 1"),
    _Rule(r"OTEL_BSP_EXPORT_TIMEOUT", partial(_integer, least=0), "a whole number"),
    _Rule(r"OTEL_BSP_\w+", partial(_integer, least=1), "a whole number above 0, below 2^31"),
    _Rule(r"OTEL_\w+_LIMIT", partial(_integer, least=0), "a whole number below 2^31"),
    _listed(
        r"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
        partial(_installed, group="opentelemetry_resource_detector", besides="*"),
        "detectors that are installed",
    ),
    _Rule(
        r"OTEL_PYTHON_CONTEXT",
        partial(_installed, group="opentelemetry_context"),
        "what is installed",
    ),
    _Rule(
        r"OTEL_PYTHON_EXPORTER_OTLP_\w+_CREDENTIAL_PROVIDER",
        partial(_installed, group="opentelemetry_otlp_credential_provider"),
        "what is installed",
    ),
    _listed(
        r"OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES",
        _one_of(*_STATUS_CODES.split()),
        "names of gRPC's status codes",
    ),
    _Rule(
        r"OTEL_PYTHON_(TRACER|METER)_PROVIDER",
        lambda _: None,
        "nothing: the supervisor has a provider of its own",
    ),
    _Rule(r".*", lambda given: given, "UTF-8"),
)
