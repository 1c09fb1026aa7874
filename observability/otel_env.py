"""Corrects the standard `OTEL_*` variables, so that the SDK can read them.

Programs in many languages share these variables. The specification says that a program has to warn
of a value that it does not support, and ignore it. But the Python SDK raises an error for several
variables, of which it reads some at its import. So this module does not import the SDK, runs before
anything that does, and leaves only values in `os.environ` that the SDK supports.
"""

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from observability.corrected_variables import Correction
from observability.otel_values import (
    SAMPLER,
    endpoint,
    header,
    installed,
    integer,
    like,
    one_of,
    pem_file,
    ratio,
    read_compression,
    read_protocol,
    seconds,
)
from observability.secret_signs import NOT_SHOWN, shown_setting

_SAMPLERS = ("always_on", "always_off", "traceidratio")
_BATCH, _QUEUE = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_MAX_QUEUE_SIZE"
_BATCH_DEFAULT, _QUEUE_DEFAULT = 512, 2048
_STATUS_CODES = (
    "cancelled unknown invalid_argument deadline_exceeded not_found already_exists"
    " permission_denied resource_exhausted failed_precondition aborted out_of_range unimplemented"
    " internal unavailable data_loss unauthenticated"
)


def correct_variables() -> list[Correction]:
    """Correct the variables in the environment. Return the corrections.

    By the specification, an empty variable counts as unset. The SDK does not support that, so empty
    variables are deleted.
    """
    names = [name for name in os.environ if name.startswith("OTEL_")]
    # In the order of the rules: some use the corrected values of others.
    settled = [_correct(name) for name in sorted(names, key=lambda name: (_rank(name), name))]
    return [*filter(None, settled), *_correct_batch()]


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
    """The value, unless it may hold a secret: headers do, and an unknown variable may."""
    unknown = name.startswith("OTEL_EXPORTER_") and _RULES[_rank(name)] is _REST
    hidden = value and (unknown or name.endswith("HEADERS"))
    return NOT_SHOWN if hidden else shown_setting(value)


_OTLP = "OTEL_EXPORTER_OTLP_(TRACES_)?"
_REST = _Rule(r".*", lambda given: given, "UTF-8")
_listed = partial(_Rule, is_list=True)
_RULES = (
    _listed(r"OTEL_TRACES_EXPORTER", one_of("otlp", "console", "none"), "otlp, console, none"),
    _Rule(rf"{_OTLP}PROTOCOL", read_protocol, "grpc or http/protobuf"),
    _listed(rf"{_OTLP}HEADERS", header, "NAME=VALUE,… with URL-encoded values"),
    _Rule(rf"{_OTLP}ENDPOINT", endpoint, "http://HOST:PORT, without a password in it"),
    _Rule(rf"{_OTLP}COMPRESSION", read_compression, "none or gzip; over HTTP deflate, too"),
    _Rule(rf"{_OTLP}TIMEOUT", seconds, "seconds above 0; from 1000 on they are milliseconds"),
    _Rule(rf"{_OTLP}((CLIENT_)?CERTIFICATE|CLIENT_KEY)", pem_file, "the path of a PEM file"),
    _Rule(
        rf"({_OTLP}INSECURE|OTEL_SDK_DISABLED|OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED)",
        one_of("true", "false"),
        "true or false",
    ),
    _listed(r"OTEL_RESOURCE_ATTRIBUTES", like(r"[^\s,=]+\s*=[^,]*"), "KEY=VALUE,KEY=VALUE"),
    _listed(
        r"OTEL_PROPAGATORS",
        partial(installed, group="opentelemetry_propagator", besides="none"),
        "tracecontext, baggage, none, and propagators that are installed",
    ),
    _Rule(
        SAMPLER,
        one_of(*_SAMPLERS, *(f"parentbased_{sampler}" for sampler in _SAMPLERS)),
        "[parentbased_]always_on, always_off or traceidratio",
    ),
    _Rule(rf"{SAMPLER}_ARG", ratio, "a number from 0 to 1"),
    _Rule(r"OTEL_BSP_EXPORT_TIMEOUT", partial(integer, least=0), "a whole number"),
    _Rule(r"OTEL_BSP_\w+", partial(integer, least=1), "a whole number above 0, below 2^31"),
    _Rule(r"OTEL_\w+_LIMIT", partial(integer, least=0), "a whole number below 2^31"),
    _listed(
        r"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
        partial(installed, group="opentelemetry_resource_detector", besides="*"),
        "detectors that are installed",
    ),
    _Rule(
        r"OTEL_PYTHON_CONTEXT",
        partial(installed, group="opentelemetry_context"),
        "what is installed",
    ),
    _Rule(
        r"OTEL_PYTHON_EXPORTER_OTLP_\w+_CREDENTIAL_PROVIDER",
        partial(installed, group="opentelemetry_otlp_credential_provider"),
        "what is installed",
    ),
    _listed(
        r"OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES",
        one_of(*_STATUS_CODES.split()),
        "names of gRPC's status codes",
    ),
    _Rule(
        r"OTEL_PYTHON_(TRACER|METER)_PROVIDER",
        lambda _: None,
        "nothing: the supervisor has a provider of its own",
    ),
    _REST,
)
