"""`area-supervisor catalog`, as far as it needs no Engine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli.main import app
from service.errors import StartError
from service.jobs.catalog_origins import toml
from service.jobs.catalog_schema import catalog_schema
from tests.support.environment import no_settings

FILE = """
[defaults]
memory = "64m"
cap_drop = ["ALL"]

[images."reg.example/map:1"]
memory = "128m"
tmpfs = ["/tmp", "/run:size=16m"]
ends = true

[jobs]
"weather.map" = { kind = "action", image = "reg.example/map:1", cpus = 0.5, cap_drop = [] }
draw = { kind = "reaction", image = "reg.example/map:1" }
"""


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    (tmp_path / "jobs.toml").write_text(FILE)
    with no_settings():
        yield


def run(*arguments: str, catalog: str = "jobs.toml", **environment: str) -> Result:
    return CliRunner().invoke(
        app, ["catalog", *arguments], env={"JOB_CATALOG": catalog} | environment
    )


def shown(job: str) -> dict[str, tuple[str, str]]:
    """The value and the origin of each key."""
    lines = run("show", job).output.splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line[0] == "│"]
    return {key: (value, origin) for key, value, origin in rows}


def test_each_key_is_shown_with_where_it_comes_from() -> None:
    keys = shown("weather.map")
    job, image = '[jobs."weather.map"]', '[images."reg.example/map:1"]'
    assert {
        "kind": ('"action"', job),
        "image": ('"reg.example/map:1"', job),
        "first_argument": ("none", "built in"),
        "ends": ("true", image),
        "memory": ('"128m"', image),
        "cpus": ("0.5", job),
        "cap_drop": ("[]", job),
        "tmpfs": ('["/tmp", "/run:size=16m"]', image),
        "volumes": ("[]", "built in"),
        "ulimits": ("{}", "built in"),
        "extra_hosts": ("{}", "built in"),
        "no_new_privileges": ("true", "built in"),
    }.items() <= keys.items()
    assert ('["ALL"]', "[defaults]") == shown("draw")["cap_drop"]
    assert ("false", "built in") == shown("draw")["ends"]  # it applies to actions only


def test_what_may_be_secret_is_not_shown() -> None:
    Path("jobs.toml").write_text(
        '[jobs.a]\nkind = "action"\nenvironment = { API_KEY = "hunter2" }\n'
        'log = { driver = "splunk", options = { splunk-token = "hunter2" } }\n'
        '[jobs.b]\nkind = "action"\nlog = { driver = "none" }\n'
    )
    keys = shown("a")
    assert '{ API_KEY = "…" }' == keys["environment"][0]
    assert '{ driver = "splunk", options = { splunk-token = "…" } }' == keys["log"][0]
    assert '{ driver = "none" }' == shown("b")["log"][0]


def test_what_is_no_job_is_told_with_the_nearest() -> None:
    ended = run("show", "weather-map")
    assert isinstance(ended.exception, StartError)
    told = "weather-map: is not a job of the catalogue; the nearest is weather.map"
    assert told == str(ended.exception)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('a"b\nc\\é', '"a\\"b\\nc\\\\é"'),
        ([1, 2.5], "[1, 2.5]"),
        ({"on": "end", "a.b": [True]}, '{ on = "end", "a.b" = [true] }'),
        ({}, "{}"),
        (None, "none"),
        ((), "[]"),
    ],
)
def test_a_value_is_written_as_toml(value: object, text: str) -> None:
    assert text == toml(value)


def test_the_schema_is_printed() -> None:
    assert catalog_schema() == json.loads(run("schema").output)


def test_a_catalogue_without_a_fault_is_told_with_its_size() -> None:
    ended = run("check", "--no-engine")
    assert (0, "jobs.toml: 2 jobs, 1 images\n") == (ended.exit_code, ended.output)


def test_another_catalogue_can_be_checked(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[jobs]\nx = { kind = 'action', pids = 1 }")
    ended = run("check", "other.toml")  # without images, no Engine is asked
    assert (0, "other.toml: 1 jobs, 0 images\n") == (ended.exit_code, ended.stdout)
    assert "other.toml: jobs.x.pids: is too few" in ended.stderr


_TOLD = [
    "jobs.toml: defaults.kind: is not a key of the catalogue; [defaults] may have",
    "jobs.toml: jobs.x.kind = 1: allowed is",
    "jobs.toml: jobs.x.memory = '1m': allowed is",
    "jobs.toml: jobs.y.kind: is missing",
]


def test_all_faults_are_told(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text(
        "[defaults]\nkind = 'action'\n[jobs]\nx = { kind = 1, memory = '1m' }\ny = {}"
    )
    ended = run("check")
    lines = ended.stderr.splitlines()
    assert 1 == ended.exit_code
    assert [True] * 4 == [line.startswith(t) for line, t in zip(lines, _TOLD, strict=True)], lines


def test_what_does_not_fit_the_engine_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text(
        "[jobs]\nx = { kind = 'action', placement = ['node.role==worker'] }"
    )
    ended = run("check", "--no-engine")
    assert isinstance(ended.exception, StartError)
    assert "jobs.x.placement" in str(ended.exception)


def test_a_file_that_cannot_be_read_is_told_as_it_was_given() -> None:
    ended = run("check", "none.toml")
    assert str(ended.exception).startswith("none.toml: cannot be read: ")


def test_an_engine_that_is_away_has_an_exit_code_of_its_own() -> None:
    ended = run("check")
    assert 4 == ended.exit_code
    assert "The images are not checked: the Docker Engine cannot be reached" in ended.stderr
