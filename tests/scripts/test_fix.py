"""`make fix` mends what `make check` finds, and leaves alone what is well."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
# What is checked, and what the generators read and write.
_CODE = ("service", "observability", "examples", "dashboards", "scripts", "benchmarks", "tests")
_FOLDERS = (*_CODE, "proto", "docs", "requirements")
_FILES = ("Makefile", "README.md", "pyproject.toml")
_SOURCE = "service/__main__.py"
_STUB = "service/_generated/area_types_pb2.py"
_TABLE = "docs/settings.md"
_DASHBOARD = "dashboards/grafana/dashboards/overview.json"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what `make fix` is about, with the virtual environment of this one."""
    made = tmp_path / "tree"
    others = shutil.ignore_patterns("__pycache__", "node_modules")
    for folder in _FOLDERS:
        shutil.copytree(_ROOT / folder, made / folder, ignore=others)
    for file in _FILES:
        shutil.copy2(_ROOT / file, made / file)
    (made / ".venv").symlink_to(_ROOT / ".venv")
    return made


def _contents(tree: Path) -> Mapping[str, bytes]:
    """Of each file, by its path."""
    files = [path for folder in _FOLDERS for path in (tree / folder).rglob("*") if path.is_file()]
    return {str(p.relative_to(tree)): p.read_bytes() for p in files if p.suffix != ".pyc"}


def test_what_is_not_formatted_or_stale_is_mended_and_nothing_else_changes(tree: Path) -> None:
    before = _contents(tree)
    source = tree / _SOURCE
    source.write_text(source.read_text().replace("\n\n", "\n").replace('"__main__"', "'__main__'"))
    for generated in (_STUB, _DASHBOARD):
        (tree / generated).write_text("stale")
    table = tree / _TABLE
    table.write_text(table.read_text().replace("`GRPC_SERVER_PORT`", "`STALE`"))
    broken = _contents(tree)
    assert {_SOURCE, _STUB, _DASHBOARD, _TABLE} == {p for p in before if broken[p] != before[p]}
    # The environment is there already: `-o` says so.
    command = ["make", "-o", "setup", "fix"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(command, cwd=tree, env=clean, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    after = _contents(tree)
    assert before.keys() == after.keys()
    assert [] == [path for path in before if after[path] != before[path]]
