"""The catalogue: the keys of a job, their allowed values, and how the TOML file is read."""

import json
import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from observability.escaping import printable
from observability.metrics import UNKNOWN
from service.engine.base import Limits
from service.errors import StartError
from service.jobs.model import Kind
from service.support.text_file import read_text

# The catalogue of Area, the default of JOB_CATALOG.
PACKAGED = Path(str(files("service"))) / "catalogs" / "area.toml"

_MEMORY_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}
_MEMORY = re.compile(r"([0-9]+)([kmg])")
# The Engine refuses less.
_LEAST_MEMORY = 6 * 2**20
_MOST_MEMORY = 2**50
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# The grammar of github.com/distribution/reference, and Docker's rules: a first part without a dot
# and a port is not a registry but a part of the name, and names are in lower case.
_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"localhost|{_LABEL}(\.{_LABEL})+|\[[0-9A-Fa-f:]+\]"
_REGISTRY = rf"(({_HOST})(:[0-9]+)?|{_LABEL}:[0-9]+)"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}"
_IMAGE = re.compile(rf"({_REGISTRY}/)?(?P<path>{_PART}(/{_PART})*)(:{_TAG})?(@({_DIGEST}))?")
_LONGEST_PATH = 255
# SwarmKit's constraints (manager/constraint): a node fulfils none whose key it does not know.
_CONSTRAINT = re.compile(
    r"(node\.(id|hostname|ip|role|platform\.(os|arch))|(node|engine)\.labels\.[A-Za-z0-9_.-]+)"
    r" *(==|!=) *[A-Za-z0-9:_./ -]+"
)

_MESSAGES = {
    "missing": "is missing",
    "dict_type": "is not a table of jobs, [jobs]",
    "model_type": 'is not a job, such as { kind = "action" }',
}
_SHORT = Repr()
_SHORT.maxstring = 80
_KEY_DEPTH = 3  # jobs, the job, the key
_INIT = 1  # process
_TOML_INTEGERS = range(-(2**63), 2**63)


def _bytes(value: object) -> object:
    """A size such as `"256m"` in bytes."""
    if not isinstance(value, str) or not (match := _MEMORY.fullmatch(value)):
        raise ValueError
    size = int(match[1]) * _MEMORY_UNITS[match[2]]
    if not _LEAST_MEMORY <= size <= _MOST_MEMORY:
        raise ValueError
    return size


def _image(value: str) -> str:
    """An image reference. The limit of its length applies without registry, tag and digest."""
    match = _IMAGE.fullmatch(value)
    if match is None or len(match["path"]) > _LONGEST_PATH:
        raise ValueError
    return value


def _placement(value: object) -> object:
    """Constraints of Swarm, in a tuple. One that no node could ever fulfil is refused."""
    if not isinstance(value, list) or not value:
        raise ValueError
    if not all(isinstance(each, str) and _CONSTRAINT.fullmatch(each) for each in value):
        raise ValueError
    return tuple(value)


def _key(default: object, description: str, *, allowed: str, example: str) -> Any:
    """A field as docs/catalogue.md shows it; the example is TOML."""
    extra: dict[str, Any] = {"allowed": allowed, "example": example}
    return Field(default, description=description, json_schema_extra=extra)


class Entry(BaseModel):
    """An entry of the catalogue: a job name's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Annotated[Kind, Field(strict=False)] = _key(
        ...,
        "an action runs once for each identifier; a reaction runs at each launch",
        allowed='"action" or "reaction"',
        example='"action"',
    )
    image: Annotated[str, AfterValidator(_image)] | None = _key(
        None,
        "the image to run; without one a launch succeeds and runs nothing",
        allowed="an image's name, such as supervisor-github:latest",
        example='"supervisor-weather"',
    )
    first_argument: Annotated[str, Field(pattern=r"^[^\x00]+$")] | None = _key(
        None,
        "the worker's first argument, before all others: which part of the image to run",
        allowed="a text that is not empty and has no NUL in it",
        example='"fetch"',
    )
    ends: bool = _key(
        default=False,
        description="whether an action ends by itself, such as one that sets up a webhook",
        allowed="true or false",
        example="true",
    )
    memory: Annotated[int, BeforeValidator(_bytes)] | None = _key(
        None,
        "the memory that its container may use",
        allowed='a number and k, m or g, from "6m", the Engine\'s least, to "1048576g"',
        example='"256m"',
    )
    cpus: Annotated[float, Field(ge=0.01, le=1024)] | None = _key(
        None,
        "the number of cores that it may use",
        allowed="a number from 0.01, the kernel's least, to 1024",
        example="0.5",
    )
    pids: Annotated[int, Field(gt=0, le=2**22)] | None = _key(
        None,
        "the number of processes and threads that it may have",
        allowed=f"a whole number from 1 to {2**22}, the kernel's most",
        example="100",
    )

    placement: Annotated[tuple[str, ...], BeforeValidator(_placement)] | None = _key(
        None,
        "the nodes of a Swarm that it may run on: those that fulfil all of these constraints",
        allowed="a list of texts, each such as node.labels.tier==jobs or node.role!=manager",
        example='["node.labels.tier==jobs"]',
    )

    @model_validator(mode="after")
    def _only_an_action_can_end(self) -> Self:
        if self.ends and self.kind is Kind.REACTION:
            raise ValueError("`ends` is for actions; a reaction always ends by itself")
        return self

    @property
    def ends_by_itself(self) -> bool:
        """Whether its jobs are expected to end by themselves, with exit code 0."""
        return self.ends or self.kind is Kind.REACTION

    @property
    def limits(self) -> Limits:
        """What its container may use."""
        return Limits(memory=self.memory, cpus=self.cpus, pids=self.pids)


def _first_table(table: dict[str, Any]) -> str | None:
    return next((key for key, value in table.items() if isinstance(value, dict)), None)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

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
        return Catalog(_File.model_validate(tomllib.loads(text)).jobs)
    except ValidationError as error:
        raise StartError(f"{printable(source)}: {_first_fault(error)}") from error
    except (ValueError, RecursionError) as error:  # ValueError also for a number of too many digits
        raise StartError(f"{printable(source)}: is not TOML: {error}") from error


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
    if fault["type"] == "extra_forbidden":
        *keys, last = Entry.model_fields
        return f"is not a key of the catalogue; a job may have {', '.join(keys)} and {last}"
    if message := _MESSAGES.get(fault["type"]):
        return message
    key = Entry.model_fields.get(str(fault["loc"][-1])) if len(fault["loc"]) == _KEY_DEPTH else None
    if key and isinstance(key.json_schema_extra, dict):
        return f"allowed is {key.json_schema_extra['allowed']}"
    return str(fault["ctx"]["error"])
