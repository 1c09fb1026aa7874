"""`make check` runs all of its tools, and `make help` and the hook know of it."""

import sys
from pathlib import Path

import pytest
import yaml

from scripts import check

_ROOT = Path(__file__).parents[2]


def _ends(code: int) -> str:
    return f"{sys.executable} -c 'import sys; sys.exit({code})'"


def test_all_checks_run_and_those_that_failed_are_named(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bad, worse, good = _ends(1), _ends(2), _ends(0)
    monkeypatch.setattr(check, "COMMANDS", (bad, good, worse))
    assert 1 == check.main()
    out, error = capfd.readouterr()
    assert f"{good}: passed" in out
    assert f"make check: {bad}, {worse} failed\n" in error


def test_a_tool_that_is_missing_has_failed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "COMMANDS", ("no-such-tool --now", _ends(0)))
    assert 1 == check.main()
    assert "make check: no-such-tool --now failed" in capfd.readouterr().err


def test_without_a_failure_it_succeeds(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "COMMANDS", (_ends(0),))
    assert 0 == check.main()
    assert "" == capfd.readouterr().err


def test_a_commit_is_checked_by_make_check_as_in_ci() -> None:
    hooks = yaml.safe_load((_ROOT / ".pre-commit-config.yaml").read_text())
    (repository,) = hooks["repos"]
    assert "local" == repository["repo"]
    assert ["make check"] == [hook["entry"] for hook in repository["hooks"]]
    ci = (_ROOT / ".ci" / "run").read_text()
    for target in ("make check", "make test"):
        assert target in ci
