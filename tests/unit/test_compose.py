"""What reaches the supervisor through docker-compose.yml, and what .env.example says of it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.sdk import environment_variables

from service.settings import Settings

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()
# It would be the container's address; PUBLISH_ADDRESS is for the host's.
_NOT_WITH_COMPOSE = {"BIND_ADDRESS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"}
_OF_COMPOSE_ITSELF = {"COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"}
_SPANS = r"OTEL_(BSP_\w+|EXPORTER_OTLP_(?!TRACES_|METRICS_|LOGS_)\w+|RESOURCE_\w+|SERVICE_NAME)"


@pytest.fixture(scope="module")
def supervisor() -> dict[str, Any]:
    service: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]["supervisor"]
    return service


def test_every_setting_is_passed_on(supervisor: dict[str, Any]) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    missing = settings - _NOT_WITH_COMPOSE - supervisor["environment"].keys()
    assert set() == missing, "docker-compose.yml"


def test_the_standard_variables_for_spans_are_passed_on(supervisor: dict[str, Any]) -> None:
    standard = {name for name in vars(environment_variables) if re.fullmatch(_SPANS, name)}
    others = {
        "OTEL_PROPAGATORS",
        "OTEL_TRACES_EXPORTER",
        "OTEL_TRACES_SAMPLER",
        "OTEL_SDK_DISABLED",
    }
    assert "OTEL_EXPORTER_OTLP_PROTOCOL" in standard
    missing = (standard | others) - supervisor["environment"].keys()
    assert set() == missing, "docker-compose.yml"


def test_the_example_of_settings_has_every_setting_with_its_default() -> None:
    told = dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    defaults = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    expected = {name: "" if d is None else str(d).lower() for name, d in defaults.items()}
    assert expected == {name: told.get(name) for name in expected}, ".env.example"


def test_the_example_of_settings_names_every_one_of_compose() -> None:
    named = set(re.findall(r"^#([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    used = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE))
    assert set() == used - named, ".env.example"
    passed_on = set(re.findall(r"^      ([A-Z_]+):", COMPOSE, re.MULTILINE))
    known = used | passed_on | _NOT_WITH_COMPOSE | _OF_COMPOSE_ITSELF
    assert set() == named - known, "docker-compose.yml lacks what .env.example has"


def test_the_history_is_on_a_volume_for_which_the_image_has_a_folder(
    supervisor: dict[str, Any],
) -> None:
    file = re.fullmatch(r"\$\{HISTORY_FILE:-(.*)/.*\}", supervisor["environment"]["HISTORY_FILE"])
    assert file
    assert f"history:{file[1]}" in supervisor["volumes"]
    assert "history" in yaml.safe_load(COMPOSE)["volumes"]
    # Any user may write there: docker-compose.proxy.yml has another than the image.
    assert f"RUN install -d -m 1777 {file[1]}\n" in (ROOT / "Dockerfile").read_text()


def test_the_base_image_is_the_dockerfiles_unless_another_is_asked_for(
    supervisor: dict[str, Any],
) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    (default,) = re.findall(r"^ARG BASE_IMAGE=(\S+)", dockerfile, re.MULTILINE)
    assert f"${{BASE_IMAGE:-{default}}}" == supervisor["build"]["args"]["BASE_IMAGE"]
    assert f"#BASE_IMAGE={default}\n" in EXAMPLE


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.proxy.yml"])
def test_no_log_of_a_service_fills_the_disk(name: str) -> None:
    services = yaml.safe_load((ROOT / name).read_text())["services"]
    if name != "docker-compose.yml":
        del services["supervisor"]  # which has it there
    for service, described in services.items():
        assert "json-file" == described["logging"]["driver"], service
        assert {"max-size", "max-file"} == described["logging"]["options"].keys(), service
