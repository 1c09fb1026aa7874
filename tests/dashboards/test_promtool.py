"""The rules and queries as promtool reads them, which `make test` installs."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dashboards.promql import jobs_by, total_of_jobs
from dashboards.reading import as_grafana_would, filled_in
from tests.dashboards.test_alerts import FOLDER, TESTS, runbook_queries


def promtool(*arguments: str) -> None:
    """Run promtool where the rules are; what it says is the failure's text."""
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=FOLDER,
        env=os.environ | {"GOGC": "400"},  # with more memory it takes a quarter less time
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_rules_are_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", "alerts.yml")


def test_the_alerts_fire_and_stay_silent_as_their_tests_say(tmp_path: Path) -> None:
    """As `promtool test rules alerts.test.yml` says, which takes six times as long.

    It evaluates every rule in every test, and each of these files has those that its test asks for.
    """
    head, *tests = re.split(r"^(?=  - name: )", (FOLDER / TESTS).read_text(), flags=re.MULTILINE)
    files = [tmp_path / f"{number}.test.yml" for number in range(len(tests))]
    for file, test in zip(files, tests, strict=True):
        rules = file.with_suffix(".rules.yml")
        rules.write_text(yaml.safe_dump({"groups": _asked_for(test)}))
        file.write_text(head.replace("alerts.yml", rules.name) + test)
    promtool("test", "rules", *map(str, files))


def _asked_for(text: str) -> Sequence[Any]:
    """The groups, with the rules that a text names, and those that these name."""
    groups = _groups()
    rules = {_name(rule): str(rule) for group in groups for rule in group["rules"]}
    named: set[str] = set()
    while more := {name for name in rules if name in text} - named:
        named |= more
        text += "".join(rules[name] for name in more)
    found = [[rule for rule in group["rules"] if _name(rule) in named] for group in groups]
    return [{**g, "rules": of_g} for g, of_g in zip(groups, found, strict=True) if of_g]


@cache
def _groups() -> Sequence[Any]:
    groups: Sequence[Any] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return groups


def _name(rule: Mapping[str, str]) -> str:
    return rule.get("alert") or rule["record"]


def test_prometheus_takes_its_configuration_with_the_rules() -> None:
    promtool("check", "config", "prometheus.yml")


def test_the_runbooks_queries_are_queries(tmp_path: Path) -> None:
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(runbook_queries())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "runbook", "rules": rules}]}))
    promtool("check", "rules", str(file))


def test_supervisors_that_share_a_swarm_count_each_job_once(tmp_path: Path) -> None:
    # Two on one Swarm, of which one has not heard of the last job yet; two on Engines of their own.
    told = {
        ("swarm", "a", "swarm"): 5,
        ("swarm", "b", "swarm"): 4,
        ("alone", "c", "docker"): 10,
        ("alone", "d", "docker"): 20,
    }
    series = []
    for (job, instance, engine), jobs in told.items():
        target = f'job="{job}", instance="{instance}"'
        running = f'supervisor_jobs_running{{job_name="timer", {target}}}'
        series.append({"series": running, "values": f"{jobs}x2"})
        build = f'supervisor_build_info{{engine="{engine}", {target}}}'
        series.append({"series": build, "values": "1x2"})
    expected = [
        ("{}", total_of_jobs("supervisor_jobs_running", "job_name")),
        ('{job_name="timer"}', jobs_by("supervisor_jobs_running", label="job_name")),
    ]
    tests = [
        {
            "expr": filled_in(
                query,
                as_grafana_would(scrape_interval=5, shown=60),
            ),
            "eval_time": "1m",
            "exp_samples": [{"labels": labels, "value": 35}],
        }
        for labels, query in expected
    ]
    file = tmp_path / "shared.test.yml"
    cases = [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": cases}))
    promtool("test", "rules", str(file))
