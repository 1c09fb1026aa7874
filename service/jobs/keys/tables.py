"""Reads the values of catalogue keys that are tables: variables, labels, hosts, limits, the log.

A fault names the entry of the table, and never shows a text of it: that may be a secret.
"""

import re

from service.engine.workload_spec import Gpus, Log, Ulimit
from service.jobs.keys.table import NotAllowed
from service.jobs.keys.values import read_address

# Linux: MAX_ARG_STRLEN, for NAME=VALUE with its closing NUL (execve(2)).
_MOST_BYTES = 131_072
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# The supervisor sets these itself, differently for each launch.
_OURS = {"TRACEPARENT", "TRACESTATE", "AREA_AUTH"}
# They say how the supervisor itself is traced, and may hold the token of its collector.
_OWN_TRACING = "OTEL_"
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?")
# The attributes of the events of Docker and Podman. A label of that name would hide one.
_ATTRIBUTES = """
comment containerExitCode execDuration execID exitCode image imageID name oldName signal
"""
# Docker's own namespaces ("Docker object labels" in its documentation), and ours.
_TAKEN = ("area.supervisor.", "com.docker.", "io.docker.", "org.dockerproject.")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?")
_GATEWAY = "host-gateway"
# A plugin is called like an image.
_DRIVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:-]*")
# Those that the Engine knows (github.com/docker/go-units).
_ULIMITS = """
core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack
"""
_UNLIMITED = -1
_MOST = 2**63 - 1
_ALL = "all"
_GPU = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:=-]*")


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 - pydantic's validators raise it
    return value


def _texts(value: object) -> dict[str, str]:
    """A table of texts."""
    texts: dict[str, str] = {}
    for name, text in _table(value).items():
        if not isinstance(text, str) or "\0" in text:
            raise NotAllowed(f"{name!r} is not a text without NUL")
        texts[name] = text
    return texts


def read_variables(value: object) -> dict[str, str]:
    """`{ LOG_LEVEL = "debug" }`."""
    texts = _texts(value)
    for name, text in texts.items():
        check_variable(name)
        if len(f"{name}={text}".encode()) >= _MOST_BYTES:
            raise NotAllowed(f"{name} is more than {_MOST_BYTES - 1} bytes")
    return texts


def check_variable(name: str) -> None:
    """Raise `NotAllowed` for what is no name of a variable, or is reserved."""
    if name in _OURS:
        raise NotAllowed(f"{name} is set by the supervisor")
    if not _VARIABLE.fullmatch(name):
        raise NotAllowed(f"{_without_value(name)!r} is not the name of a variable")


def _without_value(name: str) -> str:
    """`NAME=…` of `NAME=VALUE`, as other programs take it: the value may be a secret."""
    before, equals, _ = name.partition("=")
    return f"{before}=…" if equals else name


def read_passed_variable(name: str) -> str:
    """The name of a variable of the supervisor's own environment."""
    check_variable(name)
    if name.startswith(_OWN_TRACING):
        raise NotAllowed(f"{name} is about the supervisor: give it a value in `environment`")
    return name


def read_labels(value: object) -> dict[str, str]:
    """`{ "org.example.team" = "weather" }`."""
    texts = _texts(value)
    for name in texts:
        if not _LABEL.fullmatch(name):
            raise NotAllowed(f"{name!r} is not letters and digits, with . - _ or / between them")
        if name.startswith(_TAKEN) or name in _ATTRIBUTES.split():
            raise NotAllowed(f"{name!r} is reserved")
    return texts


def read_hosts(value: object) -> tuple[tuple[str, str], ...]:
    """`{ "db.internal" = "10.0.0.5" }`."""
    texts = _texts(value)
    for name, address in texts.items():
        if not _HOST.fullmatch(name):
            raise NotAllowed(f"{name!r} is not a host name")
        if address != _GATEWAY and not _is_address(address):
            raise NotAllowed(f"{name!r} has neither an IP address nor {_GATEWAY}")
    return tuple(sorted(texts.items()))


def _is_address(text: str) -> bool:
    try:
        read_address(text)
    except ValueError:
        return False
    return True


def read_log(value: object) -> Log:
    """`{ driver = "json-file", options = { max-size = "50m" } }`."""
    table = _table(value)
    if not table or table.keys() - {"driver", "options"}:
        raise ValueError
    driver = table.get("driver", "")
    if not isinstance(driver, str) or (driver and not _DRIVER.fullmatch(driver)):
        raise NotAllowed("`driver` is not the name of a log driver")
    options = table.get("options", {})
    if not isinstance(options, dict):
        raise NotAllowed("`options` is not a table")
    return Log(driver, tuple(sorted(_texts(options).items())))


def read_gpus(value: object) -> Gpus:
    """`1`, `"all"`, or a list of ids."""
    if value == _ALL:
        return Gpus(count=-1)
    if type(value) is int and 0 < value < 2**16:
        return Gpus(count=value)
    if not isinstance(value, list) or not value or len(set(map(str, value))) < len(value):
        raise ValueError
    if not all(isinstance(each, str) and _GPU.fullmatch(each) for each in value):
        raise ValueError
    return Gpus(ids=tuple(value))


def read_ulimits(value: object) -> tuple[Ulimit, ...]:
    """`{ nofile = 4096, nproc = { soft = 100, hard = 200 } }`."""
    return tuple(_ulimit(name, given) for name, given in sorted(_table(value).items()))


def _ulimit(name: str, given: object) -> Ulimit:
    if name not in _ULIMITS.split():
        raise NotAllowed(f"{name!r} is not one of {', '.join(_ULIMITS.split())}")
    both = given if isinstance(given, dict) else {"soft": given, "hard": given}
    if both.keys() != {"soft", "hard"}:
        raise NotAllowed(f"{name} has to have soft and hard")
    soft, hard = _limit(name, both["soft"]), _limit(name, both["hard"])
    if hard != _UNLIMITED and not _UNLIMITED < soft <= hard:
        raise NotAllowed(f"the soft limit of {name} is more than its hard one")
    return Ulimit(name, soft, hard)


def _limit(name: str, given: object) -> int:
    if type(given) is not int or not _UNLIMITED <= given <= _MOST:
        raise NotAllowed(f"a limit of {name} is not a whole number from -1")
    return given
