"""What Grafana, Alloy and Loki are given: by schema, against each other, and against our logs.

None of the three can be had here: see `grafana` and `_COMPONENTS` for what their documents say.
"""

import json
import logging
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
import structlog
import yaml
from opentelemetry.sdk.trace import TracerProvider

from observability.logs import configure_logs, get_logger
from observability.metrics import trace_exemplar
from tests.dashboards import alloy, grafana

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dashboards"
PROVISIONING = FOLDER / "grafana" / "provisioning"

# Where each listens within the compose network; Loki's is in its own configuration.
_PORTS = {"prometheus": 9090, "jaeger": 16686}

# Components and blocks that we use, with what Alloy 1.9 documents of their arguments.
_COMPONENTS = {
    "discovery.docker": {"host", "refresh_interval"},
    "filter": {"name", "values"},
    "loki.source.docker": {"host", "targets", "labels", "forward_to"},
    "loki.process": {"forward_to"},
    "stage.json": {"expressions"},
    "stage.labels": {"values"},
    "stage.structured_metadata": {"values"},
    "loki.write": set(),
    "endpoint": {"url"},
}
_REFERENCE = re.compile(r"([a-z_.]+)\.(\w+)\.(?:targets|receiver)")


@pytest.fixture(scope="module")
def sources() -> grafana.DataSources:
    text = (PROVISIONING / "datasources" / "datasources.yml").read_text()
    return grafana.DataSources.model_validate(yaml.safe_load(text))


@pytest.fixture(scope="module")
def pipeline() -> alloy.Block:
    return alloy.read(FOLDER / "alloy" / "config.alloy")


@pytest.fixture(scope="module")
def loki() -> Mapping[str, Any]:
    config: Mapping[str, Any] = yaml.safe_load((FOLDER / "loki" / "loki.yml").read_text())
    return config


@pytest.fixture
def line() -> Iterator[str]:
    """A line that the supervisor logs within a trace, with what is attached to its metrics."""
    root, lines = logging.getLogger(), list[bytes]()
    handlers, level = list(root.handlers), root.level
    configure_logs(level="info", console=False, write=lines.append)
    with TracerProvider().get_tracer("test").start_as_current_span("launch"):
        get_logger("test").info("job.launched", exemplar=trace_exemplar())
    yield lines[0].decode()
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers, root.level = handlers, level


def test_every_link_leads_to_a_data_source(sources: grafana.DataSources) -> None:
    uids = [source.uid for source in sources.datasources]
    assert sorted({"prometheus", "jaeger", "loki"}) == sorted(uids)
    text = (PROVISIONING / "datasources" / "datasources.yml").read_text()
    linked = re.findall(r"datasourceUid: (\w+)", text)
    assert {"jaeger", "loki"} == set(linked)
    assert 1 == sum(source.is_default for source in sources.datasources)


def test_every_data_source_is_a_service_at_its_port(
    sources: grafana.DataSources, loki: Mapping[str, Any]
) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ports = _PORTS | {"loki": loki["server"]["http_listen_port"]}
    for source in sources.datasources:
        assert f"http://{source.uid}:{ports[source.uid]}" == source.url
        assert source.uid in services


def test_dashboards_are_read_from_where_they_are_mounted() -> None:
    text = (PROVISIONING / "dashboards" / "dashboards.yml").read_text()
    (provider,) = grafana.Providers.model_validate(yaml.safe_load(text)).providers
    mounted = f"./dashboards/grafana/dashboards:{provider.options.path}:ro"
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert mounted in compose["services"]["grafana"]["volumes"]
    assert not provider.allow_ui_updates


def test_dashboards_ask_for_no_other_data_source(sources: grafana.DataSources) -> None:
    known = {source.uid for source in sources.datasources} | {"-- Grafana --"}
    for file in (FOLDER / "grafana" / "dashboards").glob("*.json"):
        for uid in _uids(json.loads(file.read_text())):
            assert uid in known or uid.startswith("$"), file


def test_an_exemplar_opens_its_trace(sources: grafana.DataSources, line: str) -> None:
    source = _of(sources, grafana.PrometheusSource)
    (link,) = source.json_data.exemplar_trace_id_destinations
    event = json.loads(line)
    assert {link.name: event["trace_id"]} == event["exemplar"]
    assert "jaeger" == link.datasource_uid


def test_a_log_line_opens_its_trace(sources: grafana.DataSources, line: str) -> None:
    (link,) = _of(sources, grafana.LokiSource).json_data.derived_fields
    event = json.loads(line)
    for written in (line, json.dumps(event)):  # without blanks, and with
        assert {event["trace_id"]} == set(re.findall(link.matcher_regex, written))
    assert ("jaeger", "$${__value.raw}") == (link.datasource_uid, link.url)


def test_the_runbooks_filter_leaves_out_what_is_no_trouble(line: str) -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    (condition,) = set(re.findall(r"jq -c '(select\(\.level != [^']*\))'", runbook))

    def kept(text: str) -> str:
        return subprocess.run(
            ["jq", "-c", condition], input=text, capture_output=True, text=True, check=True
        ).stdout

    assert not kept(line)
    assert kept(line.replace("info", "warning"))


def test_a_span_opens_its_log_lines(sources: grafana.DataSources, pipeline: alloy.Block) -> None:
    """By the label and the metadata that Alloy gives to each line."""
    link = _of(sources, grafana.JaegerSource).json_data.traces_to_logs_v2
    assert "loki" == link.datasource_uid
    (name,) = pipeline.block("loki.source.docker").strings("labels")
    key = "trace_id"
    assert key in pipeline.block("loki.process").block("stage.structured_metadata").keys("values")
    assert f'{{service_name="{name}"}} | {key}="$${{__trace.traceId}}"' == link.query


def test_alloy_takes_from_a_line_what_is_in_it(pipeline: alloy.Block, line: str) -> None:
    process = pipeline.block("loki.process")
    taken = process.block("stage.json").keys("expressions")
    assert taken <= json.loads(line).keys()
    labels = process.block("stage.labels").keys("values")
    metadata = process.block("stage.structured_metadata").keys("values")
    assert {"level"} == labels
    assert taken == labels | metadata


def test_alloy_gets_arguments_that_it_knows(pipeline: alloy.Block) -> None:
    for block in _all(pipeline):
        assert _COMPONENTS[block.name] == block.attributes.keys(), block.name


def test_alloy_passes_lines_on_to_components_that_there_are(pipeline: alloy.Block) -> None:
    there = {(block.name, block.label) for block in pipeline.blocks}
    values = [value for block in pipeline.blocks for value in block.attributes.values()]
    named = {found for value in values for found in _REFERENCE.findall(value)}
    assert 3 == len(named)
    assert named < there


def test_alloy_writes_to_loki(pipeline: alloy.Block, loki: Mapping[str, Any]) -> None:
    (url,) = pipeline.block("loki.write").block("endpoint").strings("url")
    assert f"http://loki:{loki['server']['http_listen_port']}/loki/api/v1/push" == url


def test_loki_takes_metadata_and_forgets(loki: Mapping[str, Any]) -> None:
    """Metadata needs schema 13 on tsdb; deletion an index of a day and a store for requests."""
    (schema,) = loki["schema_config"]["configs"]
    assert ("tsdb", "v13", "24h") == (schema["store"], schema["schema"], schema["index"]["period"])
    assert loki["compactor"]["retention_enabled"]
    assert schema["object_store"] == loki["compactor"]["delete_request_store"]
    assert re.fullmatch(r"\d+h", loki["limits_config"]["retention_period"])
    assert loki["common"]["path_prefix"] == "/loki"  # the volume


def _of(sources: grafana.DataSources, kind: type[T]) -> T:
    (found,) = (source for source in sources.datasources if isinstance(source, kind))
    return found


def _all(block: alloy.Block) -> Iterator[alloy.Block]:
    for inner in block.blocks:
        yield inner
        yield from _all(inner)


def _uids(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("datasource"), dict):
            yield part["datasource"]["uid"]
        for inner in part.values():
            yield from _uids(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _uids(inner)
