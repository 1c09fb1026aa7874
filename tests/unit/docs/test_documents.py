"""What others rely on stands in the documents, and what stands there is true.

Metrics: tests/dashboards/test_documents.py. Events: test_events_page.py. Codes: test_errors.py.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor
from pydantic import ValidationError

from scripts.reference import pages
from service._generated.supervisor.v1 import observer_pb2
from service.api import jobs_service, observer_service
from service.api.health import Health
from service.cli.client import OPTIONS
from service.cli.main import app
from service.jobs import labels as job_labels
from service.jobs.catalog_keys import Entry
from service.jobs.model import State
from service.reconcile import single_instance

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
API = (DOCS / "api.md").read_text()
OBSERVER = (DOCS / "observer.md").read_text()
COMMAND_LINE = (DOCS / "command-line.md").read_text()
TRACES = (DOCS / "traces.md").read_text()
EVENTS = (DOCS / "events.md").read_text()


def section(page: str, heading: str) -> str:
    """What stands under a heading, to the next one of any depth."""
    return re.split(r"^#+ ", page.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


# Settings and keys of the catalogue


def test_what_is_generated_is_up_to_date() -> None:
    stale = [page.name for page, text in pages() if text != page.read_text()]
    assert [] == stale, "make fix writes them"


OTHERS: dict[type, list[Any]] = {
    str: [True, 1],
    bool: ["x y", 1],
    int: ["x y", True, 1.5],
    float: ["x y", True],
    list: ["x y", True, 1],
    dict: ["x y", True, 1, []],
}


@pytest.mark.parametrize("key", Entry.model_fields)
def test_a_key_takes_its_example_and_no_value_of_another_type(key: str) -> None:
    extra = Entry.model_fields[key].json_schema_extra
    assert isinstance(extra, dict)
    (value,) = tomllib.loads(f"{key} = {extra['example']}").values()
    assert Entry.model_validate({"kind": "action", key: value})
    for other in OTHERS[type(value)]:
        with pytest.raises(ValidationError):
            Entry.model_validate({"kind": "action", key: other})


# Labels, spans, health, commands


def test_every_label_of_a_container_is_told() -> None:
    labels = {
        value
        for module in (job_labels, single_instance)
        for name, value in vars(module).items()
        if name.endswith("_LABEL")
    }
    table = section(API, "Labels")
    told = [row[0].strip("`") for row in rows(table)]
    assert len(told) > 5
    assert sorted(labels) == sorted(told), "the labels in docs/api.md"


def _code() -> Iterator[ast.AST]:
    for path in (*ROOT.glob("service/**/*.py"), *ROOT.glob("observability/**/*.py")):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def test_every_attribute_of_a_span_is_told() -> None:
    attribute = re.compile(r"(supervisor|container|error|client|user_agent)(\.[a-z_]+)+")
    texts = {node.value for node in _code() if isinstance(node, ast.Constant)}
    events = set(re.findall(r"^\| `([a-z_.]+)`", EVENTS, re.MULTILINE))
    given = {text for text in texts if isinstance(text, str) and attribute.fullmatch(text)}
    table = section(TRACES, "Attributes")
    told = [name for row in rows(table) for name in re.findall(r"`([^`]+)`", row[0])]
    assert len(told) > 10
    assert sorted(given - events) == sorted(told), "the attributes in docs/traces.md"


def test_every_wait_that_is_a_span_is_told() -> None:
    waits = {
        f"wait for {ast.literal_eval(node.args[0])}"
        for node in _code()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("wait_span", "record_wait")
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(waits) > 3
    told = set(re.findall(r"`(wait for [a-z ]+)`", section(TRACES, "Waits")))
    assert waits == told, "the waits in docs/traces.md"


async def test_every_service_of_health_is_told() -> None:
    services = {
        name or '""' for name in Health(jobs_service.SERVICE, observer_service.SERVICE)._status
    }
    told = [row[0] for row in rows(section(API, "Health")) if row[0].startswith("gRPC health")]
    named = set(re.findall(r"`([^`]+)`", " ".join(told)))
    assert services == named, "health in docs/api.md"


def test_every_status_of_a_job_is_told() -> None:
    told = re.findall(r"`(\w+)`", section(API, "ListJobs").partition("```")[0])
    listed = set(State) - {State.EXITED, State.GONE}
    assert sorted(listed) == sorted(told), "ListJobs in docs/api.md"


def test_every_command_is_told() -> None:
    commands = dict.fromkeys(app.registered_commands, "")
    for group in app.registered_groups:
        assert group.typer_instance
        commands |= dict.fromkeys(group.typer_instance.registered_commands, f"{group.name} ")
    for command, group_name in commands.items():
        assert command.callback is not None
        name = command.name or command.callback.__name__
        told = f"`area-supervisor {group_name}{name}" in API + COMMAND_LINE
        assert told, "the commands in docs/command-line.md, or in docs/api.md"


def test_every_field_of_a_job_is_told() -> None:
    in_json = " ".join(row[0] for row in rows(section(COMMAND_LINE, "Formats")))
    in_messages = " ".join(row[0] for row in rows(section(OBSERVER, "A job")))
    for field in observer_pb2.Job.DESCRIPTOR.fields:
        assert f"`{field.name}`" in in_json, "the fields in docs/command-line.md"
        assert f"`{field.name}`" in in_messages, "the fields in docs/observer.md"


_OBSERVER_METHODS = [*observer_pb2.DESCRIPTOR.services_by_name["JobObserver"].methods]


@pytest.mark.parametrize("method", _OBSERVER_METHODS, ids=lambda method: method.name)
def test_every_method_of_the_observer_is_told_with_its_fields(method: MethodDescriptor) -> None:
    headings = re.findall(r"^## (.+)$", OBSERVER, re.MULTILINE)
    (heading,) = [each for each in headings if method.name in each.split(" and ")]
    told = re.findall(r"[`\"](\w+)[`\"]", section(OBSERVER, heading))
    assert {field.name for field in method.input_type.fields} <= {*told}, "docs/observer.md"


def test_every_option_of_a_connection_is_told() -> None:
    told = section(COMMAND_LINE, "Which supervisor")
    for name in OPTIONS:
        for shown in (f"--{name.replace('_', '-')}", f"_{name.upper()}"):
            assert shown in told, "docs/command-line.md"


# The index


def test_the_index_has_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (DOCS / "README.md").read_text()))
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert pages == linked, "docs/README.md"


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *DOCS.glob("*.md")], ids=lambda page: page.name
)
def test_a_block_that_a_program_writes_ends_before_the_next_begins(page: Path) -> None:
    marks = re.findall(r"^<!-- (\S+) -->$", page.read_text(), re.MULTILINE)
    assert ["end"] * (len(marks) // 2) == marks[1::2]
    assert "end" not in marks[::2]
