import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service import __version__
from service.cli import app, main
from service.config import Settings


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.lower() in Settings.model_fields:
            del os.environ[name]
    monkeypatch.chdir(tmp_path)
    yield
    os.environ.clear()
    os.environ.update(before)


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["area-supervisor", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code


def test_it_tells_its_version() -> None:
    assert f"area-supervisor {__version__}\n" == CliRunner().invoke(app, ["--version"]).output


def test_it_tells_its_commands() -> None:
    output = CliRunner().invoke(app, ["--help"]).output
    for command in ("serve", "health", "remove-legacy"):
        assert command in output


@pytest.mark.parametrize("command", ["serve", "health", "remove-legacy"])
def test_a_wrong_setting_ends_every_command_in_one_line(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO_ENV", "prod")
    assert "area-supervisor: GO_ENV=prod: allowed is production or development" == ended(
        monkeypatch, command
    )


@pytest.mark.parametrize("variable", ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_BSP_SCHEDULE_DELAY"])
def test_a_wrong_variable_of_opentelemetry_ends_the_start_in_one_line(
    variable: str, tmp_path: Path
) -> None:
    # In a process of its own: the SDK reads some of them when it is imported.
    ended_process = subprocess.run(
        [sys.executable, "-m", "service", "serve"],
        env={
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
            variable: "many",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 1 == ended_process.returncode
    [line] = (ended_process.stdout + ended_process.stderr).splitlines()
    assert line.startswith(f"area-supervisor: {variable}=many: allowed is ")


def test_the_env_file_of_the_working_directory_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("METRICS_PORT=none")
    assert str(ended(monkeypatch, "health")).startswith("area-supervisor: METRICS_PORT=none: ")


def test_a_wrong_catalogue_ends_the_removal_before_anything_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs.toml").write_text("[jobs]\nx = {}")
    monkeypatch.setenv("JOB_CATALOG", "jobs.toml")
    assert "area-supervisor: jobs.toml: jobs.x.kind: is missing" == ended(
        monkeypatch, "remove-legacy"
    )


def test_an_engine_that_is_not_there_ends_the_removal_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    message = str(ended(monkeypatch, "remove-legacy", "--dry-run"))
    assert message.startswith("area-supervisor: the Docker Engine cannot be reached")
    assert "\n" not in message


def test_health_of_a_supervisor_that_is_not_there_is_an_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRPC_SERVER_PORT", "1")
    assert 1 == ended(monkeypatch, "health")
    assert "127.0.0.1:1: UNAVAILABLE\n" == capsys.readouterr().out
