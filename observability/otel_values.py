"""Reads values of `OTEL_*` variables: each as the SDK can read it, or None if it cannot.

Sources: the specification's configuration/sdk-environment-variables.md and protocol/exporter.md,
and the SDK's parsing (1.45). `OTEL_EXPORTER_OTLP_TIMEOUT` is in milliseconds in the specification,
and in seconds in the SDK.
"""

import os
import re
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final
from urllib.parse import unquote

SAMPLER: Final = "OTEL_TRACES_SAMPLER"

_TRACES, _ALL = "OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"
_HTTP_URL = re.compile(r"(?i:https?)://([^\s/:@\[]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]+))?(/\S*)?")
_GRPC_TARGET = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock):\S+")
# Headers that the SDK reads without printing them in a warning: , ; " and \ have to be encoded. A
# name may not end with -bin, because gRPC expects bytes then.
_HEADER = re.compile(
    r"[A-Za-z0-9_.-]+(?<!(?i:-bin))\s*=[\x20\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
)
_SENDABLE = re.compile(r"[\x20-\x7e]*")
_PORTS = range(1, 65536)
_INTEGERS = range(2**31)  # allowed by the specification
_MILLISECONDS = 1000.0  # from here on, a timeout is in milliseconds
_PEM = b"-----BEGIN "


def protocol() -> str:
    """The protocol of the exporter of spans. The default is grpc."""
    return for_traces("PROTOCOL") or "grpc"


def for_traces(name: str) -> str:
    """The value of a variable of the exporter, or ""."""
    return os.environ.get(_TRACES + name) or os.environ.get(_ALL + name) or ""


def one_of(*values: str) -> Callable[[str], str | None]:
    """One of some words, in any case."""
    return lambda given: lower if (lower := given.lower()) in values else None


def like(pattern: str) -> Callable[[str], str | None]:
    """A value that matches a pattern."""
    return lambda given: given if re.fullmatch(pattern, given) else None


def installed(given: str, *, group: str, besides: str = "") -> str | None:
    """The name of an installed plug-in, or `besides`."""
    names = (given, given.lower())
    return next((n for n in names if n == besides or entry_points(group=group, name=n)), None)


def integer(given: str, *, least: int) -> str | None:
    """A whole number, from `least` on."""
    number = int(given) if re.fullmatch(r"[0-9]{1,10}", given) else -1
    return str(number) if number in _INTEGERS and number >= least else None


def ratio(given: str) -> str | None:
    """A ratio for a sampler of ratios. For other samplers the argument is not checked."""
    if "traceidratio" not in os.environ.get(SAMPLER, ""):
        return given
    try:
        return given if 0 <= float(given) <= 1 else None
    except ValueError:
        return None


def read_protocol(given: str) -> str | None:
    """A protocol. A collector that accepts JSON over HTTP accepts protobuf at the same address."""
    known = one_of("grpc", "http/protobuf", "http/json")(given)
    return "http/protobuf" if known == "http/json" else known


def read_compression(given: str) -> str | None:
    """A compression that the exporter of the chosen protocol has."""
    return one_of("none", "gzip", *(["deflate"] if protocol() != "grpc" else []))(given)


def seconds(given: str) -> str | None:
    """A time above 0. From 1000 on it is in milliseconds."""
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{0,9})?|\.[0-9]{1,9}", given) or not float(given):
        return None
    return given if float(given) < _MILLISECONDS else f"{float(given) / 1000:g}"


def header(given: str) -> str | None:
    """NAME=VALUE that can be sent."""
    return given if _HEADER.fullmatch(given) and _SENDABLE.fullmatch(unquote(given)) else None


def endpoint(given: str) -> str | None:
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


def pem_file(given: str) -> str | None:
    """The path of a file in PEM."""
    try:
        return given if Path(given).is_file() and _PEM in Path(given).read_bytes() else None
    except (OSError, ValueError):
        return None
