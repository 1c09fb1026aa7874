"""Each test has the markers of what it needs, and `make test-fast` those without."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePath

import pytest

from tests.support import needs

_TESTS = Path(__file__).parents[1]
_FILES = [file.relative_to(_TESTS) for file in sorted(_TESTS.rglob("test_*.py"))]


@pytest.mark.parametrize("file", _FILES, ids=str)
def test_every_file_says_what_its_tests_need(file: PurePath) -> None:
    needs.of(file)


def test_what_has_an_entry_is_there() -> None:
    assert [] == [name for name in needs.NEEDS if not (_TESTS / name).exists()]


def test_a_folder_without_an_entry_is_told_with_the_file_to_edit() -> None:
    with pytest.raises(
        pytest.UsageError, match=r"tests/new/test_x\.py: .* tests/support/needs\.py"
    ):
        needs.of(PurePath("new/test_x.py"))


# Some of each sort.
_SOME = (
    *("engine/test_contract.py", "scripts/test_lockout.py", "scripts/test_needs.py"),
    *("simulation/test_parts.py", "simulation/test_simulation.py"),
)


def _selected(tmp_path: Path, markers: str, names: Iterable[str] = _SOME) -> set[str]:
    """The tests of these files that have such markers."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-m", markers]
    base = f"--basetemp={tmp_path / 'base'}"
    files = [f"tests/{name}" for name in names]
    done = subprocess.run(
        [*command, base, *files], cwd=_TESTS.parent, capture_output=True, text=True, check=True
    )
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_each_long_case_is_there(tmp_path: Path) -> None:
    files = {name.partition("::")[0] for name in needs.LONG}
    assert {f"tests/{name}" for name in needs.LONG} == _selected(tmp_path, "long", files)


@pytest.mark.timeout(600)
def test_what_needs_an_engine_is_told_by_folders_fixtures_and_cases(tmp_path: Path) -> None:
    fast = _selected(tmp_path, "not root and not slow")
    files = {name.partition("::")[0] for name in fast}
    assert {f"tests/{name}" for name in _SOME} - files == {"tests/simulation/test_simulation.py"}
    of_the_contract = {name for name in fast if "test_contract" in name}
    assert [] == [name for name in of_the_contract if "docker" in name.rpartition("[")[2]]
    lockout = {name.rpartition("::")[2] for name in fast if "test_lockout" in name}
    assert "test_both_of_them_have_to_wait" in lockout
    assert "test_an_engine_that_works_is_left_alone" not in lockout
