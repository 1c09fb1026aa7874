"""The alerts: that nothing is missing around them. Their own tests: test_promtool.py."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.app.metric_labels import new_metrics

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dashboards" / "prometheus"
RUNBOOK = ROOT / "docs" / "runbook.md"
TESTS = "alerts.test.yml"
# Where the runbook is, as Prometheus' external label has it, or in this repository.
_RUNBOOK_URL = '{{ or $externalLabels.supervisor_runbook "docs/runbook.md" }}'

_SELECTOR = re.compile(r"(?<![\w:.])((?:supervisor|process)_\w+|up)\b(?![:(])(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"""(\w+)(?:=~|!~|!=|=)["']([^"']*)["']""")
_EVENT = re.compile(
    r"\b(?<!area\.)((?:job|launch|kill_all|engine|janitor|orphan|compare|request|supervisor)\.[a-z_]+)\b"
)
_OF_THE_TARGET = frozenset({"job", "instance"})  # labels that Prometheus adds


@cache
def _load(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def _rules() -> Sequence[Mapping[str, Any]]:
    return [rule for group in _load("alerts.yml")["groups"] for rule in group["rules"]]


ALERTS = [
    pytest.param(rule, id=rule["alert"].removeprefix("Supervisor"))
    for rule in _rules()
    if "alert" in rule
]


def test_prometheus_reads_the_rules() -> None:
    assert ["alerts.yml"] == _load("prometheus.yml")["rule_files"]


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tested_both_ways(alert: Mapping[str, Any]) -> None:
    checks = [
        check
        for test in _load(TESTS)["tests"]
        for check in test["alert_rule_test"]
        if check["alertname"] == alert["alert"]
    ]
    fires = [check for check in checks if check.get("exp_alerts")]
    assert fires, f"dashboards/prometheus/{TESTS}: where it fires"
    assert len(fires) < len(checks), f"dashboards/prometheus/{TESTS}: where it stays silent"


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_what_it_is_and_what_to_do(alert: Mapping[str, Any]) -> None:
    assert {"severity"} == alert["labels"].keys()
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert {"summary", "description", "next_step", "runbook_url"} == alert["annotations"].keys()


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_section_in_the_runbook(alert: Mapping[str, Any]) -> None:
    url = f"{_RUNBOOK_URL}#{alert['alert'].lower()}"
    assert url == alert["annotations"]["runbook_url"]
    section = _sections().get(alert["alert"], "")
    for heading in ("For users", "Look closer", "Do", "(Harmless|Never harmless)"):
        found = re.search(rf"^\*\*{heading}\b", section, re.MULTILINE)
        assert found, f"{heading} in the alert's section of docs/runbook.md"


def test_the_runbook_has_no_section_for_an_alert_that_is_gone() -> None:
    named = {name for name in _sections() if name.startswith("Supervisor")}
    assert {rule["alert"] for rule in _rules() if "alert" in rule} == named, "docs/runbook.md"


def test_the_documents_list_every_alert_with_its_severity() -> None:
    text = "".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))
    row = re.compile(r"^\| \[`(\w+)`\]\(runbook\.md#(\w+)\) \| (\w+) \|", re.MULTILINE)
    alerts = [rule for rule in _rules() if "alert" in rule]
    expected = {(r["alert"], r["alert"].lower(), r["labels"]["severity"]) for r in alerts}
    assert sorted(expected) == sorted(row.findall(text)), "docs/alerts.md"


def test_the_rules_ask_for_what_the_supervisor_exports() -> None:
    """A name or a value that is not there makes an alert that never fires."""
    for rule in _rules():
        _assert_exported(rule["expr"] + str(rule.get("annotations", "")))


def runbook_queries() -> list[str]:
    """What the runbook asks Prometheus."""
    return re.findall("^```promql\n(.*?)^```", RUNBOOK.read_text(), re.DOTALL | re.MULTILINE)


def test_the_runbook_asks_for_what_the_supervisor_exports() -> None:
    assert runbook_queries()
    _assert_exported("\n".join(runbook_queries()))


def test_the_runbook_names_events_that_the_supervisor_logs() -> None:
    text = RUNBOOK.read_text() + (FOLDER / "alerts.yml").read_text()
    named = set(_EVENT.findall(text))
    assert 10 < len(named)
    assert named <= set(_EVENT.findall((ROOT / "docs" / "events.md").read_text()))


def _sections() -> Mapping[str, str]:
    parts = re.split("^## (.*)$", RUNBOOK.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _assert_exported(text: str) -> None:
    exported = _exported()
    for metric, label, value in _asked_for(text):
        assert metric in exported
        assert value in exported[metric].get(label, ()), (metric, label)


def _asked_for(text: str) -> Iterator[tuple[str, str, str]]:
    for metric, matchers in _SELECTOR.findall(text):
        yield metric, "", ""
        for label, values in _MATCHER.findall(matchers):
            if label not in _OF_THE_TARGET:
                yield from ((metric, label, value) for value in values.split("|"))


@cache
def _exported() -> Mapping[str, Mapping[str, set[str]]]:
    """The metrics of a supervisor that has just started, each with the values of its labels."""
    metrics = new_metrics(["timer"], version="1", engine="docker", mode="production")
    metrics.describe_job("timer", kind="action", ends=False)
    found: dict[str, dict[str, set[str]]] = {"up": {"": {""}}}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {"": {""}})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found
