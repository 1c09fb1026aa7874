"""What we expect of the dashboards beyond the linter's rules."""

import json
from itertools import combinations
from pathlib import Path

import promql_parser as promql
import pytest

from dashboards.reading import FILES, Panel, as_grafana_would, panels
from scripts.charts import COLORS
from service.app.metric_labels import new_metrics

each_dashboard = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)

_PANELS = [panel for file in FILES for panel in panels(file)]
_VARIABLES = as_grafana_would(scrape_interval=5, shown=3600)
# Links and provisioned folders rest on these.
_UIDS = {"overview": "supervisor-overview", "inside": "supervisor-inside"}


def _metrics_in(expression: str) -> set[str]:
    names: set[str] = set()
    promql.walk(
        promql.parse(expression),
        lambda node: (
            names.add(node.name or "") if isinstance(node, promql.VectorSelector) else None
        ),
    )
    return names


def _shown() -> set[str]:
    questions = [question for panel in _PANELS for question in panel.questions]
    return {name for each in questions for name in _metrics_in(each.filled_in(_VARIABLES))}


def test_a_picture_can_be_drawn_with_each_colour() -> None:
    used = {
        each["value"]["fixedColor"]
        for panel in _PANELS
        for override in panel.raw.get("fieldConfig", {}).get("overrides", ())
        for each in override["properties"]
        if each["id"] == "color"
    }
    assert used
    assert used <= COLORS.keys()


def test_the_uids_stay_what_they_are() -> None:
    assert _UIDS == {file.stem: json.loads(file.read_text())["uid"] for file in FILES}


@each_dashboard
def test_a_dashboard_leads_to_the_other_with_the_same_targets_and_time(file: Path) -> None:
    board = json.loads(file.read_text())
    (link,) = board["links"]
    assert ("dashboards", board["tags"]) == (link["type"], link["tags"])
    assert link["keepTime"]
    assert link["includeVars"]


@each_dashboard
def test_the_panels_of_a_dashboard_have_places_and_numbers_of_their_own(file: Path) -> None:
    found = list(panels(file))
    assert len(found) == len({panel.raw["id"] for panel in found})
    assert all(panel.place["x"] + panel.place["w"] <= 24 for panel in found)
    for one, other in combinations(found, 2):
        assert _apart(one, other), (one.title, other.title)


def _apart(one: Panel, other: Panel) -> bool:
    return any(
        a.place[start] + a.place[size] <= b.place[start]
        for a, b in ((one, other), (other, one))
        for start, size in (("x", "w"), ("y", "h"))
    )


@each_dashboard
def test_the_lines_of_a_dashboard_are_full(file: Path) -> None:
    widths: dict[int, int] = {}
    for panel in panels(file):
        widths[panel.place["y"]] = widths.get(panel.place["y"], 0) + panel.place["w"]
    assert {24} == set(widths.values())


def test_every_metric_of_ours_is_shown_somewhere() -> None:
    metrics = new_metrics(["timer"], version="1", engine="docker", mode="production")
    metrics.describe_job("timer", kind="action", ends=False)
    ours = {
        family.name
        for family in metrics.registry.collect()
        if family.name.startswith(("supervisor_", "grpc_"))
    }
    endings = ("", "_total", "_info", "_bucket", "_count")
    shown = _shown()
    missing = {name for name in ours if not {name + ending for ending in endings} & shown}
    assert set() == missing, "a panel in dashboards/rows, overview.py or inside.py, and make fix"


def test_nothing_is_asked_for_that_nobody_exports() -> None:
    metrics = new_metrics(["timer"], version="1", engine="docker", mode="production")
    metrics.describe_job("timer", kind="action", ends=False)
    metrics.job_moved("timer", None, "running", live=1, node="x")
    metrics.grpc_started.labels("x").inc()
    metrics.grpc_duration.labels("x", "OK").observe(1)
    exported = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    assert {"up"} == _shown() - exported


def test_latencies_of_requests_have_exemplars() -> None:
    with_exemplars = {
        name
        for panel in _PANELS
        for question in panel.questions
        for name in _metrics_in(question.filled_in(_VARIABLES))
        if question.exemplars
    }
    assert with_exemplars == {
        "supervisor_launch_duration_seconds_bucket",
        "grpc_server_call_duration_seconds_bucket",
    }


def test_only_variables_that_grafana_fills_in_are_used() -> None:
    for panel in _PANELS:
        for question in panel.questions:
            assert "$" not in question.filled_in(_VARIABLES).replace('"$1"', ""), panel.title
