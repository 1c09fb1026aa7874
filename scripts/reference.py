"""`make docs`: writes the generated parts of docs/ and the README, such as the table of settings.

With `--check`, which `make check` gives, it writes nothing and fails if a page is stale.
"""

import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from scripts import engine_outcomes, engines, rooms, sbom, socket_proxy
from scripts.marked import written
from service.jobs.catalog_file import SCHEMA
from service.jobs.catalog_keys import Entry
from service.jobs.catalog_schema import schema_text
from service.jobs.keys.health import HealthcheckTable
from service.jobs.keys.restarting import Restart
from service.jobs.keys.table import Table
from service.settings import Settings
from tests.support.exclusions import ALL, EXCLUDED

_ROOT = Path(__file__).resolve().parent.parent
_DOCS = _ROOT / "docs"
_TYPES = {
    str: "text",
    bool: "boolean",
    float: "number",
    int: "whole number",
    list: "list of texts",
    dict: "table",
}
# An example shows one type only.
_OF_SEVERAL_TYPES = {"gpus": "whole number, text or list of texts"}


def pages() -> Iterator[tuple[Path, str]]:
    """The pages with generated tables: their paths, and their current texts."""
    texts: dict[Path, str] = {}  # a page may have several tables
    for name, mark, table in (
        ("settings.md", "settings", _settings()),
        ("catalogue.md", "keys", _keys(Entry)),
        ("catalogue.md", "healthcheck", _keys(HealthcheckTable)),
        ("catalogue.md", "restart", _keys(Restart)),
        ("architecture.md", "rooms", rooms.drawing_and_table()),
        ("modules.md", "modules", rooms.module_tables()),
        ("licences.md", "licences", sbom.licences()),
        ("swarm.md", "left-out", _left_out(engines.SWARM)),
    ):
        page = _DOCS / name
        text = texts.get(page) or page.read_text(encoding="utf-8")
        texts[page] = written(text, mark, table)
    yield from texts.items()
    yield SCHEMA, schema_text()
    yield from engine_outcomes.pages().items()
    yield socket_proxy.PAGE, socket_proxy.configuration()


def _left_out(engine: str) -> str:
    """Why tests do not apply to an Engine, and how many."""
    reasons = sorted(EXCLUDED[engine].items())
    return "\n".join(f"- {why}: {_number(files)}" for why, files in reasons)


def _number(files: Mapping[str, Sequence[str]]) -> str:
    """How many tests those of some files are."""
    whole = [f"all of `{file}`" for file, tests in files.items() if ALL in tests]
    some = sum(len(tests) for tests in files.values() if ALL not in tests)
    return ", ".join([*whole, *([str(some)] if some else [])])


def _settings() -> str:
    head = ["variable", "default", "allowed", "meaning"]
    return _table([head, *(_setting(*item) for item in Settings.model_fields.items())])


def _setting(name: str, field: FieldInfo) -> Sequence[str]:
    extra = _extra(field)
    default = extra["unset"] or f"`{_shown(field.default)}`"
    return [f"`{name.upper()}`", default, extra["allowed"], field.description or ""]


def _keys(table: type[Table]) -> str:
    head = ["key", "type", "default", "allowed", "meaning", "example"]
    return _table([head, *(_key(*item) for item in table.model_fields.items())])


def _key(name: str, field: FieldInfo) -> Sequence[str]:
    extra = _extra(field)
    example = f"{name} = {extra['example']}"
    value = tomllib.loads(example)[name]
    kind = _TYPES[type(value)]
    if isinstance(value, list) and isinstance(value[0], int):
        kind = "list of whole numbers"
    kind = _OF_SEVERAL_TYPES.get(name, kind)
    empty = "{}" if kind == _TYPES[dict] else "[]"
    shown = empty if field.default == () else _shown(field.default)
    default = "none" if field.default in (None, "") else f"`{shown}`"
    if field.is_required():
        default = "required"
    return [f"`{name}`", kind, default, extra["allowed"], field.description or "", f"`{example}`"]


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra


def _shown(default: object) -> str:
    """A default in the format of the environment: `false`, not Python's `False`."""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rest])


def main(*, check: bool) -> int:
    """Write each page that is stale, or only name it; the exit code of the process."""
    stale = [(page, text) for page, text in pages() if text != page.read_text(encoding="utf-8")]
    for page, text in stale:
        if check:
            print(f"{page.relative_to(_ROOT)} does not match: run make docs", file=sys.stderr)
        else:
            page.write_text(text, encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
