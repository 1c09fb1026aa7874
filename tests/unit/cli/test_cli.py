import json
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.ports import free_port
from service import __version__
from service.access.tokens import hash_line
from service.cli.main import app, main
from service.jobs.catalog_file import PACKAGED
from service.settings import Settings
from tests.support.environment import no_settings


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with no_settings():
        yield


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["area-supervisor", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code


def test_it_tells_its_version() -> None:
    assert f"area-supervisor {__version__}\n" == CliRunner().invoke(app, ["--version"]).output


def test_it_tells_its_commands() -> None:
    output = CliRunner().invoke(app, ["--help"]).output
    for command in ("serve", "health", "check", "remove-legacy"):
        assert command in output


@pytest.mark.parametrize("command", ["serve", "health", "check", "remove-legacy"])
def test_a_wrong_setting_ends_every_command_in_one_line(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO_ENV", "prod")
    assert "area-supervisor: GO_ENV=prod: allowed is production or development" == ended(
        monkeypatch, command
    )


_ODD = {
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": "-1",
    "OTEL_BSP_SCHEDULE_DELAY": "soon",
    "OTEL_BSP_MAX_QUEUE_SIZE": "99999999999999999999",
    "OTEL_PROPAGATORS": "tracecontext,b3",
    "OTEL_TRACES_SAMPLER": "parentbased_jaeger_remote",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "none_such",
    "OTEL_PYTHON_CONTEXT": "none_such",
    "OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider",
    "OTEL_PYTHON_METER_PROVIDER": "none_such",
    "OTEL_PYTHON_EXPORTER_OTLP_GRPC_CREDENTIAL_PROVIDER": "none_such",
    "OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES": "NONE_SUCH",
    "OTEL_SERVICE_NAME": "caf\udce9",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "deflate",
}


def test_what_the_sdk_cannot_read_is_told_and_ends_no_start(tmp_path: Path) -> None:
    # In a process of its own: the SDK reads some variables when it is imported.
    settings = {
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
        "BIND_ADDRESS": "127.0.0.1",
        "GRPC_SERVER_PORT": str(free_port()),
        "METRICS_PORT": "tcp://10.0.0.1:9464",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "collector.invalid:4317",
    }
    (tmp_path / ".env").write_text(f"METRICS_PORT={free_port()}")
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "serve"],
        env=settings | _ODD,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = iter(map(json.loads, process.stdout))
        told = list(takewhile(lambda line: line["event"] != "supervisor.started", lines))
    finally:
        process.kill()
        process.wait()
    assert {"setting.corrected"} == {line["event"] for line in told}
    assert ["METRICS_PORT", *sorted(_ODD)] == sorted(line["variable"] for line in told)


def test_what_the_sdk_cannot_read_is_nothing_to_the_other_commands(tmp_path: Path) -> None:
    settings = {
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
        "GRPC_SERVER_PORT": str(free_port()),  # nobody listens there
        "METRICS_PORT": "tcp://10.0.0.1:9464",
    }
    for command in (["remove-legacy", "--dry-run"], ["health"]):
        ended = subprocess.run(
            [sys.executable, "-m", "service", *command],
            env=settings | _ODD,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert (1, 1) == (ended.returncode, len(ended.stdout.splitlines())), ended.stdout


def test_the_doctor_tells_a_wrong_setting_and_looks_at_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GO_ENV", "prod")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert 1 == ended(monkeypatch, "doctor", "--json")
    found = json.loads(capsys.readouterr().out)
    wrong = {each["check"]: each["message"] for each in found if each["status"] == "error"}
    assert {"settings", "socket", "engine"} == wrong.keys()
    assert "GO_ENV=prod: allowed is production or development" == wrong["settings"]
    assert {"check", "status", "subject", "message", "help"} == found[0].keys()


def test_the_env_file_of_the_working_directory_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("METRICS_PORT=none")
    assert str(ended(monkeypatch, "health")).startswith("area-supervisor: METRICS_PORT=none: ")


@pytest.mark.parametrize("command", ["check", "remove-legacy"])
def test_a_wrong_catalogue_ends_a_command_before_anything_is_touched(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs.toml").write_text("[jobs]\nx = {}")
    monkeypatch.setenv("JOB_CATALOG", "jobs.toml")
    assert "area-supervisor: jobs.toml: jobs.x.kind: is missing" == ended(monkeypatch, command)


def test_settings_and_catalogue_can_be_checked_without_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert not ended(monkeypatch, "check")
    assert f"{PACKAGED}: 68 jobs\n" == capsys.readouterr().out
    (tmp_path / "jobs.toml").write_text('[jobs]\nx = { kind = "action" }')
    monkeypatch.setenv("JOB_CATALOG", "jobs.toml")
    assert not ended(monkeypatch, "check")
    assert "jobs.toml: 1 jobs\n" == capsys.readouterr().out


def test_each_setting_is_shown_with_where_it_comes_from_and_no_secret_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text(
        "go_env=production\nMAX_PULLS=3\nWAIT_SECONDS=0.5\nOTEL_EXPORTER_OTLP_HEADERS=key=s3cret\n"
        "GRAFANA_URL=http://grafana/#token=s3cret\nTRACE_URL_TEMPLATE=http://g/t?key=s3cret&id={trace_id}\n"
    )
    for variable, value in {
        "max_pulls": "5",
        "GO_ENV": "",
        "METRICS_PORT": "tcp://10.0.0.1:9464",  # of Kubernetes
        "DOCKER_HOST": "me:s3c@ret@engine:2375",
        "DOCKER_AUTH_CONFIG": "s3cret",
        "DOCKER_CERT_PATH": "http://me:s3c?r@et@engine",
        "DOCKER_CONFIG": "/srv/area@prod",
    }.items():
        monkeypatch.setenv(variable, value)
    assert not ended(monkeypatch, "check", "--settings")
    told = capsys.readouterr()
    assert "s3c" not in told.out + told.err
    lines = [line.split("│")[1:-1] for line in told.out.splitlines() if line[0] == "│"]
    shown = {row[0].strip(): (row[1].strip(), row[2].strip()) for row in lines}
    assert {name.upper() for name in Settings.model_fields} <= shown.keys()
    assert {
        "GO_ENV": ("production", ".env"),
        "MAX_PULLS": ("5", "environment"),
        "WAIT_SECONDS": ("0.5", ".env"),
        "METRICS_PORT": ("9464", "default"),
        "PULL_TIMEOUT_SECONDS": ("600", "default"),
        "ORPHAN_DRY_RUN": ("false", "default"),
        "REPORT_CRASHES_TARGET": ("(GRPC_CALLBACK_HOST and GRPC_CALLBACK_PORT)", "default"),
        "GRAFANA_URL": ("http://grafana/?…", ".env"),
        "TRACE_URL_TEMPLATE": ("http://g/t?…", ".env"),
        "DOCKER_HOST": ("set", "environment"),
        "DOCKER_CERT_PATH": ("set", "environment"),
        "DOCKER_CONFIG": ("/srv/area@prod", "environment"),
        "OTEL_EXPORTER_OTLP_HEADERS": ("set", ".env"),
    }.items() <= shown.items()
    assert told.out.endswith(f"{PACKAGED}: 68 jobs\n")


def test_settings_are_shown_before_what_is_wrong_unless_that_is_one_of_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOB_CATALOG", "none.toml")
    assert "JOB_CATALOG=none.toml: cannot be read" in str(ended(monkeypatch, "check", "--settings"))
    assert " none.toml " in capsys.readouterr().out
    monkeypatch.setenv("MAX_PULLS", "many")
    assert str(ended(monkeypatch, "check", "--settings")).startswith("area-supervisor: MAX_PULLS=")
    assert "" == capsys.readouterr().out


def test_a_pattern_of_the_access_file_that_no_job_matches_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "jobs.toml").write_text('[jobs]\ntimer = { kind = "action" }')
    (tmp_path / "access.toml").write_text(
        f'[clients.a]\nrole = "backend"\ntokens = ["{hash_line("t")}"]\njobs = ["tim*", "mail-*"]\n'
        '[anonymous]\nrole = "observer"\njobs = ["slack"]\n'
    )
    monkeypatch.setenv("BIND_ADDRESS", "127.0.0.1")
    monkeypatch.setenv("JOB_CATALOG", "jobs.toml")
    monkeypatch.setenv("ACCESS_FILE", "access.toml")
    assert not ended(monkeypatch, "check")
    told = capsys.readouterr()
    assert ["jobs.toml: 1 jobs", "access.toml: 2 clients"] == told.out.splitlines()
    assert [
        "access.toml: client a: no job of the catalogue matches mail-*",
        "access.toml: client anonymous: no job of the catalogue matches slack",
    ] == told.err.splitlines()


def test_a_token_is_printed_with_its_line_and_another_one_each_time() -> None:
    first, second = (CliRunner().invoke(app, ["token"]).output.split() for _ in range(2))
    for token, line in (first, second):
        assert hash_line(token) == line
        assert 32 == len(urlsafe_b64decode(f"{token}="))
    assert first != second


def test_an_engine_that_is_not_there_ends_the_removal_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    message = str(ended(monkeypatch, "remove-legacy", "--dry-run"))
    assert message.startswith("area-supervisor: the Docker Engine cannot be reached")
    assert "\n" not in message


@pytest.mark.parametrize("command", ["check", "remove-legacy"])
def test_a_misspelt_setting_is_told_before_containers_are_removed(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("JOB_CATALOGUE", "s3cret.toml")
    monkeypatch.setenv("SUPERVISOR_MODE", "s3cret")
    ended(monkeypatch, command)
    assert [
        "JOB_CATALOGUE is no setting; the nearest is JOB_CATALOG",
        "SUPERVISOR_MODE is no setting",
    ] == capsys.readouterr().err.splitlines()


def test_health_of_a_supervisor_that_is_not_there_is_an_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRPC_SERVER_PORT", "1")
    assert 1 == ended(monkeypatch, "health")
    assert "127.0.0.1:1: UNAVAILABLE\n" == capsys.readouterr().out


def test_a_start_does_not_load_docker_py_before_it_listens() -> None:
    code = (
        "import service.cli.main, service.app.process, sys;"
        " print({'docker', 'requests'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "set()\n" == result.stdout
