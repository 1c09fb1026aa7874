"""Says what is wrong with a catalogue's file, for operators."""

from collections.abc import Mapping, Sequence
from reprlib import Repr
from typing import get_args

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from observability.escaping import printable
from service.jobs.catalog_keys import Entry, ImagePolicy, Policy
from service.jobs.catalog_tables import DEFAULTS, IMAGES, JOBS, CatalogFile
from service.jobs.keys.table import NotAllowed, Table

_NO_FILES = (
    "is refused: with it, a job could get any file of the Engine's host, also the Engine's socket;"
    " `volumes` has volumes, and the folders of `ALLOWED_HOST_PATHS`"
)
# Keys that exist elsewhere, and that make a job root on the Engine's host.
_REFUSED = {
    "privileged": "is refused: a privileged container is root on the Engine's host;"
    " name the capabilities that it needs in `cap_add`",
    "mounts": _NO_FILES,
    "devices": "is refused: a device of the Engine's host may be a disk; `gpus` has GPUs",
}
# What each of these is, and what each table in it is.
_TABLES = {
    DEFAULTS: "a table of defaults, [defaults]",
    IMAGES: 'a table of images, [images."NAME"]',
    JOBS: "a table of jobs, [jobs]",
}
_A_TABLE = {
    IMAGES: 'a table of keys, such as { memory = "256m" }',
    JOBS: 'a job, such as { kind = "action" }',
}
# Keys whose values no message shows.
_HIDDEN = {"environment", "pass_environment"}
_SHORT = Repr()
_SHORT.maxstring = 80
_MOST_OF_A_NAME, _MOST_OF_A_REASON = 128, 200
_TOML_INTEGERS = range(-(2**63), 2**63)


def described(fault: ErrorDetails) -> str:
    """A fault with its key, and with the value if that may be shown."""
    where = ".".join(_cut(part, _MOST_OF_A_NAME) for part in fault["loc"]) or "jobs"
    # An unknown key may be a variable that belongs into `environment`.
    is_unknown = fault["type"] == "extra_forbidden" and fault["loc"][-1] not in _REFUSED
    is_hidden = is_unknown or not _HIDDEN.isdisjoint(fault["loc"])
    return f"{where}{'' if is_hidden else _shown(fault['input'])}: {_describe(fault)}"


def _cut(text: object, most: int) -> str:
    """A text of the file, or about one, for a message of one line."""
    whole = str(text)
    return printable(whole if len(whole) <= most else f"{whole[:most]}…")


def _shown(given: object) -> str:
    """A short form of a simple value. Python refuses to print very large numbers."""
    if not isinstance(given, str | int | float):
        return ""
    if isinstance(given, int) and given not in _TOML_INTEGERS:
        return ""
    return f" = {_SHORT.repr(given)}"


def _describe(fault: ErrorDetails) -> str:
    """A fault for operators: pydantic's messages are for programmers."""
    *table, key = map(str, fault["loc"]) if fault["loc"] else [""]
    if fault["type"] == "extra_forbidden":
        return _REFUSED.get(key) or _keys_of(table)
    if fault["type"] == "missing":
        return "is missing"
    why = fault.get("ctx", {}).get("error", fault["msg"])
    field = _fields_of(table).get(key)
    if field is None and fault["type"] in ("dict_type", "model_type"):
        return f"is not {_A_TABLE[table[0]] if table else _TABLES[key]}"
    own_words = fault["type"] == "value_error" and field is not None and _table_in(field)
    if field and isinstance(field.json_schema_extra, dict) and not own_words:
        part = f"{_cut(why, _MOST_OF_A_REASON)}; " if isinstance(why, NotAllowed) else ""
        return f"{part}allowed is {field.json_schema_extra['allowed']}"
    return printable(str(why))


def _fields_of(table: Sequence[str]) -> Mapping[str, FieldInfo]:
    """The keys of a table, by its place in the file."""
    match table:
        case [place] if place == DEFAULTS:
            return Policy.model_fields
        case [place, _] if place == IMAGES:
            return ImagePolicy.model_fields
        case [place, _] if place == JOBS:
            return Entry.model_fields
        case [*outer, key] if outer and (field := _fields_of(outer).get(key)):
            inner = _table_in(field)
            return inner.model_fields if inner else {}
    return {}


def _table_in(field: FieldInfo) -> type[Table] | None:
    """The table that a key's value is, if it is one."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Table)), None)


def _keys_of(table: Sequence[str]) -> str:
    *keys, last = _fields_of(table) or CatalogFile.model_fields
    match table:
        case []:
            what = "it"
        case [place] if place == DEFAULTS:
            what = "[defaults]"
        case [place, _] if place != DEFAULTS:
            what = "an image" if place == IMAGES else "a job"
        case _:
            what = f"`{table[-1]}`"
    return f"is not a key of the catalogue; {what} may have {', '.join(keys)} and {last}"
