"""The wheel has what the image and others need, and nothing that is for tests."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*command, str(folder)], cwd=_ROOT, check=True, capture_output=True)
    (wheel,) = folder.iterdir()
    with zipfile.ZipFile(wheel) as packed:
        return set(packed.namelist())


@pytest.mark.parametrize("package", ["service", "observability"])
def test_a_package_has_its_types(names: set[str], package: str) -> None:
    assert f"{package}/py.typed" in names


def test_the_catalogue_of_area_is_packaged(names: set[str]) -> None:
    assert {"service/catalogs/area.toml", "service/catalogs/catalog.schema.json"} <= names


def test_nothing_else_is_packaged(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {"service", "observability"} == {top for top in tops if not top.endswith(".dist-info")}
    assert [] == [name for name in names if "fake" in name]
