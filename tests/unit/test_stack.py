"""examples/swarm/stack.yml: what the supervisors of a stack are told, and how they are updated."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.app.engines import ENGINES
from service.app.environment import load_settings
from service.app.unknown_settings import misspelt
from service.jobs.catalog_file import load_catalog

STACK = Path(__file__).parents[2] / "examples" / "swarm" / "stack.yml"


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    """With the values that the comment at its top names, and the defaults of others."""
    text = STACK.read_text()
    given = dict(re.findall(r"(SUPERVISOR_IMAGE|GRPC_CALLBACK_HOST)=(\S+)", text))
    text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: given[match[1]], text)
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    assert "$" not in text
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def test_a_supervisor_takes_its_settings(
    stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = stack["services"]["supervisor"]["environment"]
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    assert {} == misspelt({name: str(value) for name, value in told.items()})
    settings = load_settings()
    catalog = load_catalog(STACK.parent / stack["configs"]["catalog"]["file"])
    ENGINES[settings.supervisor_engine].check(settings, catalog)
    assert "swarm" == settings.supervisor_engine
    assert settings.job_network in stack["networks"]


def test_the_supervisors_are_replaced_one_by_one_by_healthy_ones(stack: dict[str, Any]) -> None:
    service = stack["services"]["supervisor"]
    deploy = service["deploy"]
    assert (2, 1) == (deploy["replicas"], deploy["placement"]["max_replicas_per_node"])
    assert ["node.role == manager"] == deploy["placement"]["constraints"]
    assert (1, "stop-first") == tuple(deploy["update_config"][x] for x in ("parallelism", "order"))
    assert "dnsrr" == deploy["endpoint_mode"]
    assert "disable" not in service["healthcheck"]
    assert "20s" == service["stop_grace_period"]
