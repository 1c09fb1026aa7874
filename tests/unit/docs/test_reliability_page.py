"""docs/reliability.md and docs/security.md name tests that exist, one for each row."""

import ast
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]


def _tests() -> set[str]:
    return {
        node.name
        for path in (_ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _page(name: str) -> str:
    return (_ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "least"), [("reliability", 40), ("security", 10)])
def test_every_test_that_a_page_names_is_there(page: str, least: int) -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", _page(page)))
    assert len(named) > least
    assert set() == named - _tests(), f"docs/{page}.md"


@pytest.mark.parametrize(
    ("page", "end"), [("reliability", "## Chaos and soak"), ("security", "## What is not stopped")]
)
def test_every_row_of_a_page_has_a_test(page: str, end: str) -> None:
    failures, _ = _page(page).split(end)
    rows = [line for line in failures.splitlines() if line.startswith("| ") and "---" not in line]
    headings = [row for row in rows if row.endswith("| test |")]
    assert rows
    assert [] == [row for row in rows if "`test_" not in row and row not in headings]
