"""The dashboards keep the linter's rules, and each rule finds what it is there to find."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashboards.reading import FILES
from tests.dashboards import rules
from tests.dashboards.rules import RULES, Rule

Board = dict[str, Any]

# What breaks a rule on purpose, and why.
EXCLUSIONS = {
    (rules.target_counter_agg, "Failures by reason"): (
        "a rate does not see the 1 that a series is born with; sums are compared instead"
    ),
    (rules.target_counter_agg, "Failures since the start, by job and reason"): (
        "likewise, and the total since the start is what it shows"
    ),
    (rules.target_counter_agg, "Orphans removed"): (
        "mostly counted at the start, before the first scrape, and so without a growth to see"
    ),
    (rules.target_counter_agg, "Adopted"): "likewise",
}


def _load(file: Path) -> Board:
    board: Board = json.loads(file.read_text())
    return board


BOARDS = {file.stem: _load(file) for file in FILES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_keeps_a_rule(name: str, rule: Rule) -> None:
    findings = [each for each in rule(BOARDS[name]) if (rule, each[0]) not in EXCLUSIONS]
    assert [] == findings


def test_every_exclusion_is_needed() -> None:
    broken = {
        (rule, title) for rule in RULES for board in BOARDS.values() for title, _ in rule(board)
    }
    assert set(EXCLUSIONS) == broken


def _variable(board: Board, name: str) -> Board:
    (found,) = (each for each in board["templating"]["list"] if each["name"] == name)
    assert isinstance(found, dict)
    return found


def _panel(board: Board) -> Board:
    found = next(each for each in board["panels"] if each["type"] == "timeseries")
    assert isinstance(found, dict)
    return found


def _asking(expression: str) -> Callable[[Board], None]:
    def break_it(board: Board) -> None:
        _panel(board)["targets"][0]["expr"] = expression

    return break_it


_TARGET = 'job=~"$job", instance=~"$instance"'
FAULTS: list[tuple[Rule, Callable[[Board], None]]] = [
    (rules.template_datasource, lambda b: b["templating"]["list"].pop(0)),
    (rules.template_datasource, lambda b: _variable(b, "datasource").update(label="Source")),
    (rules.template_job, lambda b: _variable(b, "job").update(name="jobs")),
    (rules.template_job, lambda b: _variable(b, "job").update(multi=False)),
    (rules.template_job, lambda b: _variable(b, "job").update(datasource={"uid": "prometheus"})),
    (rules.template_instance, lambda b: _variable(b, "instance").update(allValue=".*")),
    (rules.template_instance, lambda b: _variable(b, "instance").update(type="custom")),
    (rules.template_label_promql, lambda b: _variable(b, "job").update(query="up")),
    (
        rules.template_label_promql,
        lambda b: _variable(b, "job").update(query="label_values(up{, job)"),
    ),
    (rules.template_on_time_change_reload, lambda b: _variable(b, "job").update(refresh=1)),
    (rules.panel_datasource, lambda b: _panel(b).update(datasource={"uid": "prometheus"})),
    (rules.panel_datasource, lambda b: _panel(b)["targets"][0].update(datasource={"uid": "x"})),
    (rules.panel_title_description, lambda b: _panel(b).update(title="")),
    (rules.panel_title_description, lambda b: _panel(b).pop("description")),
    (rules.panel_units, lambda b: _panel(b)["fieldConfig"]["defaults"].pop("unit")),
    (rules.panel_units, lambda b: _panel(b)["fieldConfig"]["defaults"].update(unit="apples")),
    (rules.panel_no_targets, lambda b: _panel(b)["targets"].clear()),
    (rules.target_promql, _asking("sum(")),
    (rules.target_rate_interval, _asking(f"rate(x_total{{{_TARGET}}}[5m])")),
    (rules.target_job, _asking('up{instance=~"$instance"}')),
    (rules.target_job, _asking('up{job="$job", instance=~"$instance"}')),
    (rules.target_instance, _asking('up{job=~"$job"}')),
    (rules.target_counter_agg, _asking(f"sum(x_total{{{_TARGET}}})")),
    (rules.target_counter_agg, _asking(f"avg_over_time(x_total{{{_TARGET}}}[$__rate_interval])")),
    (rules.uneditable_dashboard, lambda b: b.update(editable=True)),
]


@pytest.mark.parametrize(
    ("rule", "break_it"),
    FAULTS,
    ids=[f"{number}-{rule.__name__}" for number, (rule, _) in enumerate(FAULTS)],
)
def test_a_rule_finds_its_fault(rule: Rule, break_it: Callable[[Board], None]) -> None:
    board = copy.deepcopy(BOARDS["overview"])
    sound = set(rule(board))
    break_it(board)
    assert set(rule(board)) - sound


def test_each_rule_has_a_fault_to_find() -> None:
    assert set(RULES) == {rule for rule, _ in FAULTS}
