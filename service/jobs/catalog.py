"""The catalogue: how its TOML file is read, what its jobs inherit, and what is wrong with it."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from reprlib import Repr
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from observability.escaping import printable
from observability.metrics import UNKNOWN
from service.errors import StartError
from service.jobs.catalog_keys import Entry, Policy
from service.support.text_file import read_text

# The catalogue of Area, the default of JOB_CATALOG.
PACKAGED = Path(str(files("service"))) / "catalogs" / "area.toml"

_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_MESSAGES = {
    "missing": "is missing",
    "dict_type": "is not a table of jobs, [jobs]",
    "model_type": 'is not a job, such as { kind = "action" }',
}
_NO_FILES = "is refused: a job gets no file of the Engine's host, above all not the Engine's socket"
# Keys that exist elsewhere, and that make a job root on the Engine's host.
_REFUSED = {
    "privileged": "is refused: a privileged container is root on the Engine's host;"
    " name the capabilities that it needs in `cap_add`",
    "volumes": _NO_FILES,
    "mounts": _NO_FILES,
    "devices": _NO_FILES,
}
_DEFAULTS, _JOBS = "defaults", "jobs"
_SHORT = Repr()
_SHORT.maxstring = 80
_INIT = 1  # process
_TOML_INTEGERS = range(-(2**63), 2**63)


def _first_table(table: dict[str, Any]) -> str | None:
    return next((key for key, value in table.items() if isinstance(value, dict)), None)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    defaults: Policy = Policy()
    jobs: dict[str, Entry]

    @model_validator(mode="before")
    @classmethod
    def _dots_are_quoted(cls, file: dict[str, Any]) -> dict[str, Any]:
        """In TOML, an unquoted dot makes a table within a table: here, a job within a job."""
        jobs = file.get("jobs")
        for name, job in jobs.items() if isinstance(jobs, dict) else ():
            inner = job
            while isinstance(inner, dict) and (part := _first_table(inner)):
                name, inner = f"{name}.{part}", inner[part]  # noqa: PLW2901
            if inner is not job and "kind" in inner:
                raise ValueError(f"a name with a dot in it needs quotes: {json.dumps(name)}")
        return file

    @model_validator(mode="after")
    def _names_are_names(self) -> Self:
        for name in self.jobs:
            if name == UNKNOWN:
                raise ValueError(f"{name!r} is what metrics call a job that is not here")
            if not _JOB_NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is not a job name: a letter or digit, then letters, digits,"
                    " _ . or -, at most 128 characters"
                )
        return self


class Catalog(dict[str, Entry]):
    """The entries by job name."""

    @property
    def images(self) -> frozenset[str]:
        """The images of all entries."""
        return frozenset(entry.image for entry in self.values() if entry.image)

    @property
    def without_room(self) -> Sequence[str]:
        """The job names that cannot run: their `pids` has room for the container's init only."""
        return [name for name, entry in self.items() if entry.pids == _INIT]


def load_catalog(path: Path | None = None) -> Catalog:
    """Read a catalogue, by default the packaged one of Area.

    Raises `StartError` with the file, the line or key, and the fault.
    """
    if path is None:
        return _parse(PACKAGED.read_text(encoding="utf-8"), PACKAGED.name)
    try:
        return _parse(read_text(path), str(path))
    except (OSError, ValueError) as error:
        raise StartError(f"JOB_CATALOG={printable(str(path))}: cannot be read: {error}") from error


def _parse(text: str, source: str) -> Catalog:
    try:
        file = _File.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise StartError(f"{printable(source)}: {_first_fault(error)}") from error
    except (ValueError, RecursionError) as error:  # ValueError also for a number of too many digits
        raise StartError(f"{printable(source)}: is not TOML: {error}") from error
    return Catalog({name: entry.inherit(file.defaults) for name, entry in file.jobs.items()})


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    where = ".".join(printable(str(part)) for part in fault["loc"]) or "jobs"
    return f"{where}{_shown(fault['input'])}: {_describe(fault)}"


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
    if fault["loc"] == (_DEFAULTS,) and fault["type"] == "model_type":
        return "is not a table of defaults, [defaults]"
    if message := _MESSAGES.get(fault["type"]):
        return message
    field = _fields_of(table).get(key)
    if field and isinstance(field.json_schema_extra, dict):
        return f"allowed is {field.json_schema_extra['allowed']}"
    return str(fault["ctx"]["error"])


def _fields_of(table: Sequence[str]) -> Mapping[str, FieldInfo]:
    """The keys of a table, by its place in the file."""
    match table:
        case [place] if place == _DEFAULTS:
            return Policy.model_fields
        case [place, _] if place == _JOBS:
            return Entry.model_fields
    return {}


def _keys_of(table: Sequence[str]) -> str:
    *keys, last = _fields_of(table) or Entry.model_fields
    what = "[defaults]" if table == [_DEFAULTS] else "a job"
    return f"is not a key of the catalogue; {what} may have {', '.join(keys)} and {last}"
