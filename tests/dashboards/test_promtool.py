"""The rules and queries as promtool reads them, which `make test` installs."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

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


@pytest.mark.timeout(600)  # promtool takes 40 s with a processor to itself
def test_the_alerts_fire_and_stay_silent_as_their_tests_say() -> None:
    promtool("test", "rules", TESTS)


def test_prometheus_takes_its_configuration_with_the_rules() -> None:
    promtool("check", "config", "prometheus.yml")


def test_the_runbooks_queries_are_queries(tmp_path: Path) -> None:
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(runbook_queries())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "runbook", "rules": rules}]}))
    promtool("check", "rules", str(file))
