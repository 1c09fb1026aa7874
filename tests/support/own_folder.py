"""A folder of a run's own for its temporary files, which no other run looks into.

pytest's is one for all runs of a user: each clears away there what earlier ones have left, and ends
with an error where it cannot, as with what is mounted.
"""

import shutil
import tempfile
from pathlib import Path

import pytest

from scripts import leftovers

_FOLDER = pytest.StashKey[Path]()


def claim(config: pytest.Config) -> None:
    """Make it, unless `--basetemp` names one. A worker of xdist's has its place in the run's."""
    if config.option.basetemp is None:
        folder = Path(tempfile.mkdtemp(prefix="area-tests-"))
        config.stash[_FOLDER] = folder
        config.option.basetemp = str(folder / "run")


def release(config: pytest.Config, *, keep: bool) -> None:
    """Unmount what tests have left in it, and remove it, but for `keep`."""
    if folder := of(config):
        leftovers.unmount(folder)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def of(config: pytest.Config) -> Path | None:
    """The run's folder, if it has one of its own, and it is there."""
    folder = config.stash.get(_FOLDER, None)
    return folder if folder and folder.exists() else None
