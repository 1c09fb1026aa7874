"""The settings in effect: their values, and where each comes from. No secret is shown."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from observability.secret_signs import may_be_secret
from service.settings import Settings

COLUMNS = ("variable", "value", "from")
# Docker's that count here. Others, such as DOCKER_AUTH_CONFIG, are of other programs.
_DOCKERS = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONFIG")
# Of these some are secrets, such as the headers for a collector.
_OTEL = "OTEL_"
_QUERY = re.compile("[?#]")


def rows(settings: Settings, given: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Each setting, and the variables of Docker and OpenTelemetry that are set.

    `given` is the environment as it was before `.env` was read.
    """
    for name, field in Settings.model_fields.items():
        extra: Any = field.json_schema_extra
        unset = extra["unset"].replace("`", "")
        value = _text(getattr(settings, name)) or f"({unset})"
        yield name.upper(), _without_secrets(value), _origin(name, given)
    for variable, value in sorted(os.environ.items()):
        if value and variable in _DOCKERS:
            yield variable, _without_secrets(value), _origin(variable, given)
        elif value and variable.startswith(_OTEL):
            yield variable, "set", _origin(variable, given)


def _text(value: object) -> str:
    """The value as `.env` has it."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _without_secrets(value: str) -> str:
    """Nothing that may be a secret; no query and fragment of an address: they may have a token."""
    address, *rest = _QUERY.split(value, maxsplit=1) if "://" in value else [value]
    if may_be_secret(address) or "@" in "".join(rest):  # a password may have a `?`
        return "set"
    return f"{address}?…" if rest else address


def _origin(variable: str, given: Mapping[str, str]) -> str:
    """Names of settings may be in lower case, too. An empty variable counts as not set."""
    for environment, origin in ((given, "environment"), (os.environ, ".env")):
        if any(value and name.lower() == variable.lower() for name, value in environment.items()):
            return origin
    return "default"
