"""The JSON schema of the catalogue says what the supervisor itself allows."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from service.jobs.catalog_file import PACKAGED, check_tables
from service.jobs.catalog_keys import Entry, ImagePolicy, Policy
from service.jobs.catalog_schema import catalog_schema, schema_text

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def validate() -> Callable[[Mapping[str, Any]], object]:
    """Raises `JsonSchemaException`."""
    made: Callable[[Mapping[str, Any]], object] = fastjsonschema.compile(catalog_schema())
    return made


def _pages() -> list[str]:
    """What the page shows as a whole file."""
    page = (ROOT / "docs" / "catalogue.md").read_text()
    return [toml for toml in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[jobs]" in toml]


@pytest.mark.parametrize(
    "text",
    [PACKAGED.read_text(), (ROOT / "examples" / "catalog.toml").read_text(), *_pages()],
    ids=lambda text: text.splitlines()[0],
)
def test_a_catalogue_without_a_fault_fits(
    validate: Callable[[Mapping[str, Any]], object], text: str
) -> None:
    tables = tomllib.loads(text)
    assert check_tables(tables)
    validate(tables)


def _example(key: str) -> Any:
    extra = Entry.model_fields[key].json_schema_extra
    assert isinstance(extra, dict)
    return tomllib.loads(f"x = {extra['example']}")["x"]


@pytest.mark.parametrize("key", Entry.model_fields)
def test_a_key_takes_its_example_where_it_may_stand(
    validate: Callable[[Mapping[str, Any]], object], key: str
) -> None:
    keys = {key: _example(key)}
    validate({"jobs": {"x": {"kind": "action"} | keys}})
    for name, table in (("defaults", Policy), ("images", ImagePolicy)):
        file = {"jobs": {}, name: keys if name == "defaults" else {"x": keys}}
        if key in table.model_fields:
            validate(file)
        else:
            with pytest.raises(fastjsonschema.JsonSchemaException):
                validate(file)


@pytest.mark.parametrize("key", Entry.model_fields)
def test_a_key_is_explained(key: str) -> None:
    said = catalog_schema()["definitions"][key]

    assert "; allowed is " in said["description"]
    assert [_example(key)] == said["examples"]
    assert {"type", "enum", "anyOf"} & said.keys(), f"{key} may be anything"


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"jobs": [], "version": 1},
        {"jobs": {"x": {}}},
        {"jobs": {"x": {"kind": "Action"}}},
        {"jobs": {"x": {"kind": "action", "imgae": "x"}}},
        {"jobs": {"x": {"kind": "action", "cpus": 0}}},
        {"jobs": {"x": {"kind": "action", "pids": 0}}},
        {"jobs": {"x": {"kind": "action", "memory": 256}}},
        {"jobs": {"x": {"kind": "action", "cap_drop": "ALL"}}},
        {"jobs": {"x": {"kind": "action", "tmpfs": [1]}}},
        {"jobs": {"x": {"kind": "action", "read_only": "yes"}}},
        {"jobs": {}, "defaults": {"kind": "action"}},
        {"jobs": {}, "images": {"x": 1}},
        {"jobs": {}, "images": {"x": {"image": "y"}}},
    ],
    ids=json.dumps,
)
def test_a_slip_is_found(
    validate: Callable[[Mapping[str, Any]], object], tables: Mapping[str, Any]
) -> None:
    with pytest.raises(fastjsonschema.JsonSchemaException):
        validate(tables)


def test_the_text_is_the_schema() -> None:
    assert catalog_schema() == json.loads(schema_text())
