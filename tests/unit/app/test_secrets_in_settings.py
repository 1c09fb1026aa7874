"""No message shows a secret that stands in a setting, whichever it is, and right or wrong."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from observability.otel_env import correct_variables
from service.access.access_file import load_clients
from service.app.environment import drop_service_links, load_settings
from service.app.unknown_settings import misspelt
from service.cli.settings_table import rows
from service.engine.docker.connection import connection_from_env
from service.errors import StartError
from service.jobs.catalog_file import load_catalog
from service.settings import Settings
from service.support.tls_files import TlsFile
from tests.support.misplaced_secrets import MISPLACED

pytestmark = [
    pytest.mark.usefixtures("environment"),
    pytest.mark.parametrize(("value", "secret"), MISPLACED.items()),
]

_READ_FROM: Mapping[str, Callable[[Path], object]] = {
    "JOB_CATALOG": load_catalog,
    "ACCESS_FILE": load_clients,
    "GRPC_TLS_KEY_FILE": lambda path: TlsFile("GRPC_TLS_KEY_FILE", path).read("a PEM file"),
}


_OF_OPENTELEMETRY = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADRES",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_PYTHON_EXPORTER_OTLP_GRPC_CREDENTIAL_PROVIDER",
    "OTEL_RESOURCE_ATTRIBUTES",
)


def _told() -> str:
    """What `check --settings` prints of the settings of this environment."""
    try:
        return repr(list(rows(load_settings(), os.environ)))
    except StartError as wrong:
        return str(wrong)


def test_of_any_setting(value: str, secret: str) -> None:
    for name in map(str.upper, Settings.model_fields):
        os.environ[name] = value
        told = _told()
        assert name in told
        assert secret not in told, name
        del os.environ[name]


def test_of_a_port_that_looks_like_one_of_kubernetes(value: str, secret: str) -> None:
    os.environ["METRICS_PORT"] = value
    assert secret not in repr(drop_service_links())


@pytest.mark.parametrize("name", _READ_FROM)
def test_of_a_file_that_is_not_there(name: str, value: str, secret: str) -> None:
    with pytest.raises(StartError) as caught:
        _READ_FROM[name](Path(value))
    assert str(caught.value).startswith(f"{name}=(not shown): cannot be read")
    assert secret not in str(caught.value)


def test_of_a_misspelt_setting(value: str, secret: str) -> None:
    os.environ.update({f"{name.upper()}S": value for name in Settings.model_fields})
    told = misspelt(os.environ)
    assert "ACCESS_FILES" in told
    assert secret not in repr(told) + _told()


@pytest.mark.parametrize("variable", ["DOCKER_HOST", "DOCKER_CERT_PATH"])
def test_of_docker(variable: str, value: str, secret: str) -> None:
    os.environ.update({"DOCKER_HOST": "tcp://host:2376", "DOCKER_TLS_VERIFY": "1"})
    os.environ[variable] = value
    try:
        told = connection_from_env().shown
    except StartError as wrong:
        told = str(wrong)
    assert secret not in told + _told()


@pytest.mark.parametrize("end", ["", "\udce9"], ids=["text", "no text"])
def test_of_opentelemetry(end: str, value: str, secret: str) -> None:
    os.environ.update(dict.fromkeys(_OF_OPENTELEMETRY, value + end))
    assert secret not in repr(correct_variables()) + _told()
