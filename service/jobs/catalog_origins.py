"""Which table of a catalogue's file each key of a job comes from."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from service.jobs.catalog_keys import Entry
from service.jobs.catalog_tables import CatalogFile
from service.jobs.keys.table import example_of

_HIDDEN = "…"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Origin(NamedTuple):
    """A key of a job: its value, as TOML has it, and the table that gives it."""

    key: str
    value: str
    table: str  # as its head stands in the file; "" if no table gives it


def origins_of(job: str, file: CatalogFile, tables: Mapping[str, Any]) -> Sequence[Origin]:
    """Each key of a job, without secrets. `tables` is the TOML of the file."""
    entry = file.jobs[job]
    defaults, *images = file.layers(job)
    sources = entry.sources(defaults, *images)
    heads = {id(defaults): ("defaults",), id(entry): ("jobs", job)}
    heads |= {id(each): ("images", entry.image or "") for each in images}
    found = []
    for key, field in Entry.model_fields.items():
        if source := sources.get(key):
            head = heads[id(source)]
            value = _without_secrets(key, _table(tables, head)[key])
            found.append(Origin(key, toml(value), _written(head)))
        else:
            found.append(Origin(key, toml(_default(field)), ""))
    return found


def _default(field: FieldInfo) -> object:
    """The default of a key: `()` is that of lists, and of tables whose reader makes a tuple."""
    is_table = example_of(field).startswith("{")
    return {} if field.default == () and is_table else field.default


def _without_secrets(key: str, value: Any) -> Any:
    """The value of a key, with `…` for texts that may be secret."""
    match key:
        case "environment":
            return dict.fromkeys(value, _HIDDEN)
        case "log" if "options" in value:
            return {**value, "options": dict.fromkeys(value["options"], _HIDDEN)}
    return value


def _table(tables: Mapping[str, Any], head: Sequence[str]) -> Mapping[str, Any]:
    for part in head:
        tables = tables[part]
    return tables


def _written(head: Sequence[str]) -> str:
    parts = (part if _BARE.fullmatch(part) else json.dumps(part) for part in head)
    return f"[{'.'.join(parts)}]"


def toml(value: object) -> str:
    """A value as TOML has it, and "none" for none."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        pairs = (
            f"{key if _BARE.fullmatch(key) else json.dumps(key)} = {toml(v)}"
            for key, v in value.items()
        )
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    # JSON writes texts, numbers and booleans as TOML does.
    return json.dumps(value, ensure_ascii=False, default=str)
