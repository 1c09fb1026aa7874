"""A run's temporary files are its own: what others have left does not matter, and nothing stays."""

import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import leftovers
from tests.support.mounts import bound

_ROOT = Path(__file__).parents[2]
# Some that make files, in a moment.
_SOME = "tests/unit/engine/docker/test_own_container.py"

_CONFTEST = "from tests.conftest import *\n"
_FAILING = """\
from pathlib import Path
from tests.support.mounts import bind

def test_that_leaves_a_mount_and_fails(tmp_path):
    (tmp_path / "evidence").touch()
    bind(Path({theirs!r}), tmp_path / "mounted")
    raise ValueError
"""


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of somebody's, with a file."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "file").touch()
    return folder


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """What is /tmp to a run."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def _begun(temporary: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A run of its own, whoever runs this one."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-c", "pyproject.toml", *arguments],
        cwd=_ROOT,
        env=ours | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_stale_mount_and_another_run_are_neither_in_the_way_nor_touched(
    temporary: Path, theirs: Path
) -> None:
    common = temporary / f"pytest-of-{getpass.getuser()}"
    stale = common / "garbage-of-a-crash" / "mounted"  # pytest clears away what is called so
    with bound(theirs, stale):
        both = [_begun(temporary, _SOME), _begun(temporary, _SOME, "--numprocesses", "1")]
        said = [run.communicate()[0] for run in both]
        assert [0, 0] == [run.returncode for run in both], "\n".join(said)
        assert [str(stale)] == leftovers.mounts_at(temporary)
    assert (theirs / "file").exists()
    assert [common] == list(temporary.iterdir())


def test_only_the_files_of_failed_tests_stay_and_no_mount(
    tmp_path: Path, temporary: Path, theirs: Path
) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "conftest.py").write_text(_CONFTEST)
    (tests / "test_it.py").write_text(_FAILING.format(theirs=str(theirs)))
    run = _begun(temporary, str(tests))
    said, _ = run.communicate()
    assert 1 == run.returncode, said
    (folder,) = temporary.iterdir()
    assert f"What the failed tests have left is in {folder}." in said
    assert [] == leftovers.mounts_at(temporary)
    assert 1 == len(list(folder.rglob("evidence")))
    assert (theirs / "file").exists()
