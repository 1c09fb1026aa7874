"""The allow-list of jobs: which image a name stands for, read from one TOML file."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from observability.metrics import UNKNOWN
from service.engine.base import Limits
from service.errors import StartError
from service.job import Kind

_MEMORY_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}
_MEMORY = re.compile(r"(\d+)([kmg])")
# The Engine refuses less, and a worker that gets less is dead before it starts.
_LEAST_MEMORY = 6 * 2**20
_MOST_MEMORY = 2**50
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# The reference grammar of the distribution specification, as far as a catalogue needs it.
_IMAGE = r"^[a-z0-9]+([._/:-]+[A-Za-z0-9_]+)*(@sha256:[0-9a-f]{64})?$"

_PLAINER = {
    "extra_forbidden": "is no key that a catalogue has; a job may have kind, image,"
    " first_argument, ends, memory, cpus and pids",
    "missing": "is missing",
    "string_pattern_mismatch": "is not an image's name, such as supervisor-github:latest",
}


def _bytes(value: object) -> object:
    """`"256m"` as bytes; anything else is left for pydantic to refuse."""
    if not isinstance(value, str) or not (match := _MEMORY.fullmatch(value)):
        raise ValueError('a number and k, m or g, such as "256m"')
    size = int(match[1]) * _MEMORY_UNITS[match[2]]
    if not _LEAST_MEMORY <= size <= _MOST_MEMORY:
        raise ValueError('at least "6m", which is what the Engine asks for, at most "1048576g"')
    return size


class Entry(BaseModel):
    """One job of the catalogue."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Annotated[Kind, Field(strict=False)]
    image: Annotated[str, Field(pattern=_IMAGE, max_length=255)] | None = None
    first_argument: Annotated[str, Field(pattern=r"^[^\x00]+$")] | None = None
    ends: bool = False
    memory: Annotated[int, BeforeValidator(_bytes)] | None = None
    cpus: Annotated[float, Field(ge=0.01, le=1024)] | None = None  # the kernel's least is 1 %
    pids: Annotated[int, Field(gt=0, le=2**22)] | None = None  # the kernel's most

    @model_validator(mode="after")
    def _only_an_action_can_end(self) -> Self:
        if self.ends and self.kind is Kind.REACTION:
            raise ValueError("`ends` is for actions; a reaction always ends by itself")
        return self

    @property
    def ends_by_itself(self) -> bool:
        """Whether exit code 0 is what its worker is expected to end with."""
        return self.ends or self.kind is Kind.REACTION

    @property
    def limits(self) -> Limits:
        """What its container may use."""
        return Limits(memory=self.memory, cpus=self.cpus, pids=self.pids)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    jobs: dict[str, Entry]

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


class Catalog:
    """The jobs by name."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: str) -> Entry | None:
        """The job of that name, if there is one."""
        return self._entries.get(name)

    @property
    def images(self) -> frozenset[str]:
        """Every image that a job runs."""
        return frozenset(e.image for e in self._entries.values() if e.image)


def load_catalog(path: Path | None = None) -> Catalog:
    """Read a catalogue, by default the packaged one of Area.

    Raises `StartError` with the file, the line or key, and what is wrong.
    """
    if path is None:
        return _parse(
            (files("service") / "catalogs" / "area.toml").read_text(encoding="utf-8"), "area.toml"
        )
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"JOB_CATALOG={path}: cannot be read: {error}") from error


def _parse(text: str, source: str) -> Catalog:
    try:
        return Catalog(_File.model_validate(tomllib.loads(text)).jobs)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise StartError(f"{source}: is not TOML: {error}") from error
    except ValidationError as error:
        raise StartError(f"{source}: {_first_fault(error)}") from error


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in fault["loc"]) or "jobs"
    given = fault["input"]
    value = f" = {given!r}" if isinstance(given, str | int | float | bool) else ""
    return f"{where}{value}: {_PLAINER.get(fault['type'], fault['msg'])}"
