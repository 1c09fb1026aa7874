"""Reads the settings from the environment and from `.env`, once at the start."""

import os
import re
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from observability.corrected_variables import Correction
from observability.otel_env import correct_variables
from observability.secret_signs import shown_setting
from service.errors import StartError
from service.settings import Settings
from service.support.text_file import read_text

SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://\S+")
_LINKED = (
    "a Kubernetes Service of this name puts its address here: counts as unset;"
    " `enableServiceLinks: false` in the pod's spec, or a value of your own, avoids it"
)


class _Environment(Settings, BaseSettings):
    """The settings, read from the environment."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)


def read_settings() -> tuple[Settings, list[Correction]]:
    """The settings, and the variables whose values were not used as given. Raises `StartError`."""
    links = drop_service_links()
    load_env_file()
    settings = load_settings()
    # Before OpenTelemetry is imported, because it reads its variables then.
    return settings, [*links, *correct_variables()]


def drop_service_links() -> list[Correction]:
    """Remove addresses that Kubernetes and `docker run --link` put into the variables of ports.

    For a Service named `metrics`, Kubernetes gives each pod METRICS_PORT=tcp://10.0.0.1:9464.
    """
    ports = [name.upper() for name in Settings.model_fields if name.endswith("_port")]
    return [
        Correction(port, shown_setting(os.environ.pop(port)), "", _LINKED)
        for port in ports
        if SERVICE_LINK.fullmatch(os.environ.get(port, ""))
    ]


def load_env_file(path: Path = Path(".env")) -> None:
    """Put the file's variables into the environment, unless they are set there.

    So the file can also set `DOCKER_HOST` and `OTEL_*`. An empty variable counts as not set.
    """
    if not os.path.lexists(path):
        return
    try:
        text = read_text(path)
        _require_lines(path, text)
        for key, value in dotenv_values(stream=StringIO(text)).items():
            if value and not _is_set(key):
                os.environ[key] = value
    except (OSError, ValueError) as error:
        raise StartError(f"{path}: cannot be read: {error}") from error


def _is_set(variable: str) -> bool:
    """Whether the environment has the variable. Settings may be in upper or in lower case."""
    if variable.lower() not in Settings.model_fields:
        return bool(os.environ.get(variable))
    return any(value and name.lower() == variable.lower() for name, value in os.environ.items())


def _require_lines(path: Path, text: str) -> None:
    """Raise `StartError` at a line that cannot be parsed. Do not show it: it may be a secret."""
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            given = binding.original.string
            blank = given[: len(given) - len(given.lstrip())]
            line = binding.original.line + blank.count("\n")
            raise StartError(
                f"{path}: line {line}: is not NAME=VALUE, or a quote in it is not closed"
            )


def load_settings() -> Settings:
    """The settings of this environment.

    Raises `StartError`: one line that names each wrong variable, its value and the allowed values.
    A value that may hold a secret is not shown.
    """
    try:
        return _Environment()
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        wrong = {str(fault["loc"][0]): fault["input"] for fault in faults}
        text = "; ".join(_describe(name, value) for name, value in wrong.items())
        raise StartError(text) from None


def _describe(name: str, value: object) -> str:
    extra = Settings.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    given = os.environ.get(name.upper(), str(value))  # before any validator changed it
    return f"{name.upper()}={shown_setting(given)}: allowed is {extra['allowed']}"
