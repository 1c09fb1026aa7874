"""Reads the settings, once at the start, from the environment and from `.env`."""

import os
import re
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from observability.corrections import Correction
from observability.printable import printable
from service.errors import StartError
from service.settings import Settings
from service.support.text_file import read_text

SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://\S+")
_LINKED = (
    "a Kubernetes Service of this name puts its address here: counts as unset;"
    " `enableServiceLinks: false` in the pod's spec, or a value of your own, avoids it"
)


class _Environment(Settings, BaseSettings):
    """The settings, with what is not given taken from the environment."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)


def drop_service_links() -> list[Correction]:
    """Take from the environment what Kubernetes, and `docker run --link`, put where a port goes.

    For a Service named `metrics` each pod gets METRICS_PORT=tcp://10.0.0.1:9464; nobody set it.
    """
    ports = [name.upper() for name in Settings.model_fields if name.endswith("_port")]
    return [
        Correction(port, os.environ.pop(port), "", _LINKED)
        for port in ports
        if SERVICE_LINK.fullmatch(os.environ.get(port, ""))
    ]


def load_env_file(path: Path = Path(".env")) -> None:
    """Put the file's variables into the environment, where they are not set or empty.

    Into the environment, so that `DOCKER_HOST` and `OTEL_*` may stand in it too.
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
    """Whether the environment has it; settings are read in upper and in lower case."""
    if variable.lower() not in Settings.model_fields:
        return bool(os.environ.get(variable))
    return any(value and name.lower() == variable.lower() for name, value in os.environ.items())


def _require_lines(path: Path, text: str) -> None:
    """What is not understood would be left out. It is not shown, since it may be a secret."""
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

    Raises `StartError`: one line that names each wrong variable, its value and what is allowed.
    """
    try:
        return _Environment()
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        wrong = {str(fault["loc"][0]): fault["input"] for fault in faults}
        raise StartError("; ".join(_told(name, value) for name, value in wrong.items())) from None


def _told(name: str, value: object) -> str:
    extra = Settings.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    given = os.environ.get(name.upper(), str(value))  # as it was before any of our changes
    return f"{name.upper()}={printable(given)}: allowed is {extra['allowed']}"
