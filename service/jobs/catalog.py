"""The catalogue: how its TOML file is read, what its jobs inherit, and what is wrong with it."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from reprlib import Repr
from typing import Any, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from observability.escaping import printable, shown
from observability.label_values import UNKNOWN
from service.engine.workload_spec import PullPolicy, Tmpfs, Volume
from service.errors import StartError
from service.jobs.catalog_keys import Entry, ImagePolicy, Policy
from service.jobs.keys.images import has_moving_tag
from service.jobs.keys.table import NotAllowed, Table, example_of
from service.support.text_file import read_text

# The catalogue of Area, the default of JOB_CATALOG.
PACKAGED = Path(str(files("service"))) / "catalogs" / "area.toml"
# For editors; beside it.
SCHEMA = PACKAGED.with_name("catalog.schema.json")

_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
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
_DEFAULTS, _IMAGES, _JOBS = "defaults", "images", "jobs"
# What each of these is, and what each table in it is.
_TABLES = {
    _DEFAULTS: "a table of defaults, [defaults]",
    _IMAGES: 'a table of images, [images."NAME"]',
    _JOBS: "a table of jobs, [jobs]",
}
_A_TABLE = {
    _IMAGES: 'a table of keys, such as { memory = "256m" }',
    _JOBS: 'a job, such as { kind = "action" }',
}
# Keys whose values are tables.
_WITH_TABLES = {n for n, field in Entry.model_fields.items() if example_of(field).startswith("{")}
# Keys whose values no message shows.
_HIDDEN = {"environment", "pass_environment"}
_SHORT = Repr()
_SHORT.maxstring = 80
_MOST_OF_A_NAME, _MOST_OF_A_REASON = 128, 200
_INIT = 1  # process
# Some thousand jobs. Each has its series in the metrics.
_MOST_BYTES = 2**20
_TOML_INTEGERS = range(-(2**63), 2**63)


def _first_table(table: dict[str, Any]) -> str | None:
    """The first table that is not the value of a key, whose entries may have any names."""
    tables = (key for key, value in table.items() if isinstance(value, dict))
    return next((key for key in tables if key not in _WITH_TABLES), None)


class CatalogFile(BaseModel):
    """The tables of a catalogue's file, as they stand in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defaults: Policy = Policy()
    jobs: dict[str, Entry]
    images: dict[str, ImagePolicy] = {}  # after the jobs: its check needs them

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
                    f"{shown(name)} is not a job name: a letter or digit, then letters, digits,"
                    " _ . or -, at most 128 characters"
                )
        return self

    @model_validator(mode="after")
    def _no_volume_is_hidden(self) -> Self:
        """The Engine mounts both without a word, and the job would write to memory."""
        for name in self.jobs:
            paths = {each.path for each in self._of(name, "volumes")}
            if twice := sorted(paths & {each.path for each in self._of(name, "tmpfs")}):
                raise ValueError(
                    f"{name} has {twice[0]} in `volumes` and in `tmpfs`, its own or inherited"
                )
        return self

    def _of(self, job: str, key: str) -> Iterable[Volume | Tmpfs]:
        """What a job has or inherits."""
        tables = reversed((*self.layers(job), self.jobs[job]))
        return next((getattr(each, key) for each in tables if key in each.model_fields_set), ())

    @field_validator(_IMAGES)
    @classmethod
    def _images_are_used(
        cls, images: dict[str, ImagePolicy], info: ValidationInfo
    ) -> dict[str, ImagePolicy]:
        """A table that no job inherits from is a slip: the jobs meant would lack what it says."""
        jobs: Mapping[str, Entry] | None = info.data.get(_JOBS)
        used = {job.image for job in jobs.values() if job.image} if jobs is not None else {*images}
        for image in images:
            if image not in used:
                allowed = ", ".join(sorted(used)) or "none, as no job has an image"
                raise ValueError(f"no job has the image {shown(image)}; allowed is {allowed}")
        return images

    def layers(self, job: str) -> Sequence[Policy]:
        """The tables that a job inherits from; the last one wins."""
        image = self.images.get(self.jobs[job].image or "")
        return (self.defaults, image) if image else (self.defaults,)

    def catalog(self) -> "Catalog":
        """The jobs with all that they inherit."""
        jobs = {name: job.inherit(*self.layers(name)) for name, job in self.jobs.items()}
        most = {name: image.max_running for name, image in self.images.items()}
        return Catalog(jobs, {name: number for name, number in most.items() if number is not None})


class Catalog(dict[str, Entry]):
    """The entries by job name."""

    # The names of the jobs that this process has known, and that are no longer there.
    gone: frozenset[str] = frozenset()

    def __init__(
        self, entries: Mapping[str, Entry], image_limits: Mapping[str, int] | None = None
    ) -> None:
        """`image_limits` is how many jobs of an image may run at once, where that is limited."""
        super().__init__(entries)
        self.image_limits: Mapping[str, int] = image_limits or {}

    def replace(self, newer: "Catalog") -> None:
        """Become another catalogue, for all who hold this one."""
        self.gone = frozenset(self.gone | self.keys()) - newer.keys()
        self.clear()
        self.update(newer)
        self.image_limits = newer.image_limits

    @property
    def images(self) -> frozenset[str]:
        """The images of all entries."""
        return frozenset(entry.image for entry in self.values() if entry.image)

    @property
    def without_room(self) -> Sequence[str]:
        """The job names that cannot run: their `pids` has room for the container's init only."""
        return [name for name, entry in self.items() if entry.pids == _INIT]

    @property
    def images_to_be_there(self) -> frozenset[str]:
        """The images that some job does not have pulled."""
        kept = (entry for entry in self.values() if entry.pull is PullPolicy.NEVER)
        return frozenset(entry.image for entry in kept if entry.image)

    @property
    def moving_images(self) -> Sequence[str]:
        """The images that each launch pulls, and whose tag moves: each may be another one."""
        pulled = {e.image for e in self.values() if e.image and e.pull is PullPolicy.ALWAYS}
        return sorted(image for image in pulled if has_moving_tag(image))


def load_catalog(path: Path | None = None) -> Catalog:
    """Read a catalogue, by default the packaged one of Area.

    Raises `StartError` with the file, the line or key, and the fault.
    """
    return check_tables(read_tables(path), path).catalog()


def read_tables(path: Path | None = None, *, setting: str = "JOB_CATALOG=") -> Mapping[str, Any]:
    """The TOML of a catalogue's file, whose path `setting` has given. Raises `StartError`."""
    shown = printable(str(path or PACKAGED))
    try:
        text = read_text(path or PACKAGED, most=_MOST_BYTES)
    except (OSError, ValueError) as error:
        raise StartError(f"{setting}{shown}: cannot be read: {error}") from error
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also for a number of too many digits
        raise StartError(f"{shown}: is not TOML: {error}") from error


def check_tables(tables: Mapping[str, Any], path: Path | None = None) -> CatalogFile:
    """The tables, if they have no fault. Raises `StartError` with the file, the key and it."""
    try:
        return CatalogFile.model_validate(tables)
    except ValidationError as error:
        first = _told(error.errors(include_url=False)[0])
        raise StartError(f"{printable(str(path or PACKAGED))}: {first}") from error


def faults_of(tables: Mapping[str, Any]) -> Sequence[str]:
    """All faults that the tables have, each with its key."""
    try:
        CatalogFile.model_validate(tables)
    except ValidationError as error:
        return [_told(fault) for fault in error.errors(include_url=False)]
    return []


def _told(fault: ErrorDetails) -> str:
    where = ".".join(_cut(part, _MOST_OF_A_NAME) for part in fault["loc"]) or "jobs"
    # A key that nobody knows may be a variable that stands beside `environment`.
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
        case [place] if place == _DEFAULTS:
            return Policy.model_fields
        case [place, _] if place == _IMAGES:
            return ImagePolicy.model_fields
        case [place, _] if place == _JOBS:
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
        case [place] if place == _DEFAULTS:
            what = "[defaults]"
        case [place, _] if place != _DEFAULTS:
            what = "an image" if place == _IMAGES else "a job"
        case _:
            what = f"`{table[-1]}`"
    return f"is not a key of the catalogue; {what} may have {', '.join(keys)} and {last}"
