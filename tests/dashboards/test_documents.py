"""The tables of the documents say what is exported."""

import re
from pathlib import Path

from prometheus_client import Metric

from service.app.metric_labels import LABELS, new_metrics
from service.errors import REASONS

_TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
_ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram|info) \|([^|]*)\|", re.MULTILINE)
_REASON = re.compile(r"^\| `(\w+)` \| ([\d, ]+) \|", re.MULTILINE)
_LABELS = {"job_name", "state", "outcome", "operation", "reason"}
_ENDINGS = {"counter": "_total", "info": "_info"}


def _exported() -> dict[str, tuple[str, set[str]]]:
    metrics = new_metrics(["timer"], version="1", engine="docker", mode="production")
    metrics.describe_job("timer", kind="action", ends=False)
    metrics.job_moved("timer", None, "running", live=1, node="x")
    metrics.grpc_started.labels("x").inc()
    metrics.grpc_duration.labels("x", "OK").observe(1)
    return {
        family.name + _ENDINGS.get(family.type, ""): (family.type, _labels(family))
        for family in metrics.registry.collect()
    }


def _labels(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def test_the_tables_of_metrics_are_complete_and_true() -> None:
    told = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in _ROW.findall(_TEXT)
    }
    assert _exported() == told, "docs/metrics.md"


def test_every_value_of_a_label_is_told() -> None:
    metrics = new_metrics([], version="1", engine="docker", mode="production")
    values = {
        value
        for family in metrics.registry.collect()
        for sample in family.samples
        for label, value in sample.labels.items()
        if sample.name.startswith("supervisor_") and label in _LABELS
    }
    assert len(values) > 30
    assert set() == values - set(re.findall(r"`(\w+)`", _TEXT)), "docs/metrics.md"


def test_the_table_of_reasons_is_complete_and_true() -> None:
    told = {
        name: {int(code) for code in codes.split(",")} for name, codes in _REASON.findall(_TEXT)
    }
    assert set(LABELS.reasons) == set(told), "docs/metrics.md"
    for code, reason in REASONS.items():
        assert code in told[reason], "docs/metrics.md"
