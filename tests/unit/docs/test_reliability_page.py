"""docs/reliability.md names tests that exist."""

import ast
import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]


def _tests() -> set[str]:
    return {
        node.name
        for path in (_ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_test_that_the_page_names_is_there() -> None:
    page = (_ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", page))
    assert len(named) > 40
    assert set() == named - _tests()


def test_every_failure_of_the_page_has_a_test() -> None:
    page = (_ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    failures, _ = page.split("## Chaos and soak")
    rows = [line for line in failures.splitlines() if line.startswith("| ") and "---" not in line]
    headings = [row for row in rows if row.endswith("| test |")]
    assert rows
    assert [] == [row for row in rows if "`test_" not in row and row not in headings]
