"""Which supervisor a command calls, and with which credentials.

Each value is the first that is given: as an option, in the environment, in the context, or the
default. A context that is named as an option counts before the environment. An option that is
empty stands for no value.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from observability.secret_signs import shown_setting
from service.client.config_file import KEYS, config_path, read_config
from service.client.errors import usage
from service.client.secret_files import read_token
from service.client.tls import Tls, read_tls

DEFAULT_SERVER = "localhost:50051"
_PORT = 50051
_PREFIX = "AREA_SUPERVISOR_"
_NAME = r"[\w.-]+"
_SERVER = re.compile(rf"(?P<host>{_NAME}|\[(?P<v6>[0-9a-fA-F:.%]+)\])(?::(?P<port>\d{{1,5}}))?")


@dataclass(frozen=True, slots=True)
class Value:
    """A value, and where it is from: its option, its variable, or its key in a context."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Target:
    """A supervisor, and what to show there."""

    host: str
    port: int
    token: str = field(default="", repr=False)
    tls: Tls | None = None
    trace_url: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def find_target(options: Mapping[str, str | None], environment: Mapping[str, str]) -> Target:
    """The supervisor that is meant. `options` may have KEYS and `context`; raises CommandError."""
    values = _values(options, environment)
    host, port = _address(values.get("server") or Value(DEFAULT_SERVER, ""))
    tls = read_tls(*(values.get(key) for key in ("ca", "cert", "key")))
    token = _token(values.get("token_file"), host, tls)
    trace_url = values["trace_url"].text if "trace_url" in values else ""
    return Target(host, port, token, tls, trace_url)


def _values(options: Mapping[str, str | None], environment: Mapping[str, str]) -> dict[str, Value]:
    """The value of each key that was given and is not empty."""
    named = options.get("context")
    context = _context(named, environment)
    variables = {
        key: Value(text, _PREFIX + key.upper())
        for key in KEYS
        if (text := environment.get(_PREFIX + key.upper()))
    }
    given = {
        key: Value(text, f"--{key.replace('_', '-')}")
        for key in KEYS
        if (text := options.get(key)) is not None
    }
    behind = variables | context if named else context | variables
    return {key: value for key, value in (behind | given).items() if value.text}


def _context(named: str | None, environment: Mapping[str, str]) -> dict[str, Value]:
    config = read_config(config_path(environment))
    name = named or environment.get(f"{_PREFIX}CONTEXT") or config.current
    if not name:
        return {}
    origin = f"{config.path}: contexts.{name}"
    return {key: Value(text, f"{origin}.{key}") for key, text in config.context(name).items()}


def _address(server: Value) -> tuple[str, int]:
    match = _SERVER.fullmatch(server.text)
    port = int((match and match["port"]) or _PORT)
    if match and 0 < port < 2**16:
        return match["v6"] or match["host"], port
    if _is_v6(server.text):
        return server.text, _PORT
    raise usage(
        f"{server.origin}: {shown_setting(server.text)}: is not the address of a supervisor;"
        " allowed is HOST or HOST:PORT, such as localhost:50051 or [::1]:50051"
    )


def _token(file: Value | None, host: str, tls: Tls | None) -> str:
    if file is None:
        return ""
    if tls is None and not _is_loopback(host):
        raise usage(
            f"{file.origin}: the token would travel in the clear to {host}:"
            " --ca has the connection encrypted"
        )
    return read_token(file.origin, Path(file.text))


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6  # noqa: PLR2004
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
