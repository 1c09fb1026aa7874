"""The JSON schema of a catalogue's file, by which editors complete and check it."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from service.jobs.catalog_keys import Entry, ImagePolicy, Policy
from service.jobs.keys.table import Table

_Schema = dict[str, Any]

_KEY = "#/definitions/{}"
_TYPES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
}
# What pydantic says of a key beside its type.
_WORDS = ("title", "description", "default", "allowed", "example")


def schema_text() -> str:
    """The schema as a file has it."""
    return json.dumps(catalog_schema(), indent=2) + "\n"


def catalog_schema() -> _Schema:
    """The schema (JSON Schema draft 7)."""
    keys = Entry.model_json_schema(schema_generator=_AsWritten)
    nested = keys.get("$defs", {})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A catalogue of jobs",
        "type": "object",
        "properties": {
            "defaults": _table(Policy, "Keys for every job."),
            "images": _tables(ImagePolicy, "Keys for every job of an image, by its name."),
            "jobs": _tables(Entry, "The jobs, by name."),
        },
        "required": ["jobs"],
        "additionalProperties": False,
        "definitions": {key: _key(said, nested) for key, said in keys["properties"].items()},
    }


def _tables(kind: type[Table], description: str) -> _Schema:
    table = _table(kind, description)
    return {
        "description": table.pop("description"),
        "type": "object",
        "additionalProperties": table,
    }


def _table(kind: type[Table], description: str) -> _Schema:
    required = [key for key, field in kind.model_fields.items() if field.is_required()]
    return {
        "description": description,
        "type": "object",
        "properties": {key: {"$ref": _KEY.format(key)} for key in kind.model_fields},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


class _AsWritten(GenerateJsonSchema):
    """Says nothing of the type of a key that has a reader of its own.

    What the file has, such as "256m", is then something else than what it becomes.
    """

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> _Schema:
        written = schema.get("json_schema_input_schema")
        return self.generate_inner(written) if written else {}


def _key(said: _Schema, nested: Mapping[str, _Schema]) -> _Schema:
    """A key as an editor explains it, of what pydantic says of it."""
    shape = {name: value for name, value in _shape(said, nested).items() if name not in _WORDS}
    example = tomllib.loads(f"x = {said['example']}")["x"]
    default = said.get("default")
    if isinstance(example, dict) and default == []:  # a table becomes a tuple
        default = {}
    return {
        "description": f"{said['description']}; allowed is {said['allowed']}",
        **(shape or _type_of(example)),
        **({} if default is None else {"default": default}),
        "examples": [example],
    }


def _shape(said: _Schema, nested: Mapping[str, _Schema]) -> _Schema:
    """Its type and limits, with tables within it. TOML has no null."""
    if "anyOf" in said:
        options = [_shape(o, nested) for o in said["anyOf"] if o.get("type") != "null"]
        return options[0] if len(options) == 1 else {"anyOf": options}
    if "$ref" not in said:
        return said
    table = nested[said["$ref"].rpartition("/")[2]]
    if "properties" in table:
        keys = {key: _key(inner, nested) for key, inner in table["properties"].items()}
        table = table | {"properties": keys}
    return table


def _type_of(example: object) -> _Schema:
    found: _Schema = {"type": _TYPES[type(example)]}
    if isinstance(example, list):
        found["items"] = _type_of(example[0])
    return found
