"""What every table of the catalogue is made of."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo


class NotAllowed(ValueError):
    """A part of a value is not allowed. The operator sees the text, before what is allowed."""


def key(default: object, description: str, *, allowed: str, example: str) -> Any:
    """A field as docs/catalogue.md shows it; the example is TOML."""
    extra: dict[str, Any] = {"allowed": allowed, "example": example}
    return Field(default, description=description, json_schema_extra=extra)


def example_of(field: FieldInfo) -> str:
    """A value of the key, as TOML has it."""
    assert isinstance(field.json_schema_extra, dict)
    return str(field.json_schema_extra["example"])


class Table(BaseModel):
    """A table whose keys are all known. `model_fields_set` has those that it gives."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
