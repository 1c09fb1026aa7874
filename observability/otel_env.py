"""The standard `OTEL_*` variables, made such that the SDK can read them.

An environment is shared by programs in many languages, and the specification says what to do with
a value that one of them does not have: warn, and ignore it. The Python SDK reads some variables
when it is imported, and answers several of them with a traceback. So this module imports nothing
of it, runs before anything that does, and leaves in `os.environ` only what the SDK understands.
Nothing here ends the start: traces are never the reason for anything.
"""

import os
import re
from collections.abc import Iterator

from observability.corrections import Correction
from observability.otel_values import GRPC_TARGET, HTTP_URL, RULES, TEXT, Rule
from observability.printable import printable

_TRACES, _ALL = "OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"
_BATCH, _QUEUE = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_MAX_QUEUE_SIZE"
_BATCH_DEFAULT, _QUEUE_DEFAULT = 512, 2048
_RATIO = "OTEL_TRACES_SAMPLER_ARG"
# Of a password and of a query in an address, and of a key that stands where its file belongs.
_SECRET_SIGNS = ("@", "?", "-----BEGIN ")


def settle_variables() -> list[Correction]:
    """Leave in the environment what the SDK understands; what had to be changed for that.

    An empty variable means unset, by the specification; the SDK forgets that, so it is deleted.
    """
    names = sorted(name for name in os.environ if name.startswith("OTEL_"))
    corrections = [
        *filter(None, [_settle(name) for name in names]),
        *_settle_endpoints(),
        *_settle_compression(),
        *_settle_sampler(),
        *_settle_batch(),
    ]
    _let_the_scheme_decide()
    return corrections


def protocol() -> str:
    """What spans are exported over: grpc, unless asked for otherwise."""
    return _for_traces("PROTOCOL") or "grpc"


def _for_traces(what: str) -> str:
    return os.environ.get(_TRACES + what) or os.environ.get(_ALL + what) or ""


def _settle(name: str) -> Correction | None:
    value = os.environ.pop(name).strip()
    rule = next((rule for rule in RULES if re.fullmatch(rule.names, name)), TEXT)
    given = [part for part in map(str.strip, _split(value, rule)) if part]
    read = [(part, rule.read(part) if _is_text(part) else None) for part in given]
    used = ",".join(dict.fromkeys(good for _, good in read if good is not None))
    if used:
        os.environ[name] = used
    if all(good is not None and good.lower() == part.lower() for part, good in read):
        return None
    return Correction(name, _shown(name, value), _shown(name, used), f"allowed is {rule.allowed}")


def _split(value: str, rule: Rule) -> list[str]:
    return value.split(",") if rule.is_list else [value]


def _is_text(value: str) -> bool:
    """Whether it is UTF-8, as what is sent has to be."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _settle_endpoints() -> Iterator[Correction]:
    """OTLP over HTTP needs a URL. Where headers go along, which hold tokens, they are encrypted."""
    if protocol() == "grpc":
        return
    scheme = "https" if _for_traces("HEADERS") else "http"
    for name in (_TRACES + "ENDPOINT", _ALL + "ENDPOINT"):
        given = os.environ.get(name, "")
        if given and not HTTP_URL.fullmatch(given):
            used = "" if GRPC_TARGET.fullmatch(given) else f"{scheme}://{given}"
            del os.environ[name]
            if used:
                os.environ[name] = used
            reason = "OTLP over HTTP needs a URL with http:// or https://"
            yield Correction(name, _shown(name, given), _shown(name, used), reason)


def _let_the_scheme_decide() -> None:
    """A scheme goes before INSECURE, by the specification. In the SDK only https does."""
    endpoint = _for_traces("ENDPOINT")
    if not endpoint or endpoint.lower().startswith("http://"):
        for prefix in (_TRACES, _ALL):
            os.environ.pop(f"{prefix}INSECURE", None)


def _settle_compression() -> Iterator[Correction]:
    """The SDK's exporter over gRPC knows gzip alone, and takes even `none` for an error."""
    names = [name for p in (_TRACES, _ALL) if (name := f"{p}COMPRESSION") in os.environ]
    if protocol() != "grpc" or not names:
        return
    asked = os.environ[names[0]]
    for name in names:
        del os.environ[name]
    if asked == "gzip":
        os.environ[names[0]] = asked
    elif asked != "none":
        yield Correction(names[0], asked, "", "allowed over gRPC is none or gzip")


def _settle_sampler() -> Iterator[Correction]:
    """Only a ratio has an argument that is read; other samplers have others."""
    if "traceidratio" not in os.environ.get("OTEL_TRACES_SAMPLER", ""):
        return
    given = os.environ.get(_RATIO, "")
    if not _is_ratio(given):
        os.environ[_RATIO] = "1"
        if given:
            yield Correction(_RATIO, printable(given), "1", "allowed is a number from 0 to 1")


def _is_ratio(given: str) -> bool:
    try:
        return 0 <= float(given) <= 1
    except ValueError:
        return False


def _settle_batch() -> Iterator[Correction]:
    batch = int(os.environ.get(_BATCH, _BATCH_DEFAULT))
    queue = int(os.environ.get(_QUEUE, _QUEUE_DEFAULT))
    if batch > queue:
        os.environ[_BATCH] = str(queue)
        yield Correction(_BATCH, str(batch), str(queue), f"allowed is at most {_QUEUE}")


def _shown(name: str, value: str) -> str:
    """The value, unless it may be a secret: headers, a password in an address, a key itself."""
    hidden = value and (name.endswith("HEADERS") or any(sign in value for sign in _SECRET_SIGNS))
    return "(not shown)" if hidden else printable(value)
