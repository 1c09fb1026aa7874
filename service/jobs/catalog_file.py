"""Reads a catalogue's file."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from observability.escaping import printable
from observability.secret_signs import shown_setting
from service.errors import StartError
from service.jobs.catalog import Catalog
from service.jobs.catalog_faults import described
from service.jobs.catalog_tables import CatalogFile
from service.support.text_file import read_text

# The catalogue of Area, the default of JOB_CATALOG.
PACKAGED = Path(str(files("service"))) / "catalogs" / "area.toml"
# The schema for editors, in the same folder.
SCHEMA = PACKAGED.with_name("catalog.schema.json")
# Some thousand jobs. Each has its series in the metrics.
_MOST_BYTES = 2**20


def load_catalog(path: Path | None = None) -> Catalog:
    """Read a catalogue, by default the packaged one of Area.

    Raises `StartError` with the file, the line or key, and the fault.
    """
    return check_tables(read_tables(path), path).catalog()


def read_tables(path: Path | None = None, *, setting: str = "JOB_CATALOG=") -> Mapping[str, Any]:
    """The TOML of a catalogue's file, whose path `setting` has given. Raises `StartError`."""
    shown = shown_setting(str(path or PACKAGED))
    try:
        text = read_text(path or PACKAGED, most=_MOST_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error  # an `OSError` would show the path
        raise StartError(f"{setting}{shown}: cannot be read: {reason}") from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also for a number of too many digits
        raise StartError(f"{shown}: is not TOML: {error}") from error


def check_tables(tables: Mapping[str, Any], path: Path | None = None) -> CatalogFile:
    """The tables, if they have no fault. Raises `StartError` with the file, the key and it."""
    try:
        return CatalogFile.model_validate(tables)
    except ValidationError as error:
        first = described(error.errors(include_url=False)[0])
        raise StartError(f"{printable(str(path or PACKAGED))}: {first}") from error


def faults_of(tables: Mapping[str, Any]) -> Sequence[str]:
    """All faults that the tables have, each with its key."""
    try:
        CatalogFile.model_validate(tables)
    except ValidationError as error:
        return [described(fault) for fault in error.errors(include_url=False)]
    return []
