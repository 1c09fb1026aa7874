"""The page about the architecture names files that exist, and the index has every decision."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_TOPS = ("service", "observability", "tests", "docs", "scripts")
_ROOMS = [folder.name for folder in (ROOT / "service").iterdir() if folder.is_dir()]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
RECORDS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
INDEX = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")

_A_PAGE = 60  # lines


def test_the_files_that_the_page_names_are_there() -> None:
    tops = "|".join([*_TOPS, *_ROOMS])
    named = re.findall(rf"(?<![\w/.])(?:{tops})/[\w./-]*\w", PAGE)
    assert len(named) > 50
    assert [] == [path for path in named if not _is_there(path)]


def _is_there(path: str) -> bool:
    """Whether it is a file or a folder; a module of the service goes by its room and name."""
    names = path, f"{path}.py", f"service/{path}", f"service/{path}.py"
    return any((ROOT / name).exists() for name in names)


def test_every_room_but_two_is_kept_from_the_adapters() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    name = "Only the process knows the adapters"
    (sources,) = [each["source_modules"] for each in contracts["contracts"] if each["name"] == name]
    rooms = {folder.parent.name for folder in (ROOT / "service").glob("*/__init__.py")}
    others = rooms - {"_generated", "app", "engine"}
    assert sorted(f"service.{room}" for room in others) == sources, "pyproject.toml"


def test_the_index_has_every_decision_under_its_number_and_title() -> None:
    titles = [record.read_text(encoding="utf-8").splitlines()[0][2:] for record in RECORDS]
    listed = re.findall(r"^- \[(\d+\. .+)\]\((.+)\)$", INDEX, re.MULTILINE)
    names = [record.name for record in RECORDS]
    index = "docs/decisions/README.md"
    assert sorted(zip(titles, names, strict=True)) == sorted(listed), index
    assert [int(title.partition(".")[0]) for title in titles] == list(range(1, len(titles) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_is_a_page_with_its_context_and_its_consequences(record: Path) -> None:
    title, *lines = record.read_text(encoding="utf-8").splitlines()
    assert title.startswith(f"# {int(record.name[:4])}. ")
    assert ["## Context", "## Decision", "## Consequences"] == [x for x in lines if x[:1] == "#"]
    assert len(lines) < _A_PAGE


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_the_files_that_a_decision_names_are_there(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    named = re.findall(r"`((?:service|observability|tests|docs)/[\w./-]+)`", text)
    assert [] == [path for path in named if not (ROOT / path).exists()]
