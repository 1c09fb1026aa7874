"""Logins for registries: their secrets are in no text."""

import json
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.engine.docker.registry_logins import NO_LOGIN, Login, login_for, registry_of


@pytest.fixture
def config_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("worker", "docker.io"),
        ("team/worker:1", "docker.io"),
        ("index.docker.io/team/worker", "docker.io"),
        ("localhost/worker", "localhost"),
        ("registry.example:5000/team/worker:1", "registry.example:5000"),
        (f"registry.example/worker@sha256:{'0' * 64}", "registry.example"),
    ],
)
def test_the_registry_of_an_image_is_known(image: str, registry: str) -> None:
    assert registry == registry_of(image)


def test_a_token_is_a_login(config_json: Path) -> None:
    config_json.write_text(json.dumps({"auths": {"a.example": {"identitytoken": "t0ken"}}}))
    login = login_for("a.example/worker")
    assert {"IdentityToken": "t0ken"} == login.known
    assert NO_LOGIN == login_for("b.example/worker")


def test_no_secret_of_a_login_is_in_a_text_or_in_its_repr() -> None:
    login = Login({"username": "me", "password": "s3cret-word", "serveraddress": "a.example"})
    header = login.headers["X-Registry-Auth"]
    told = login.redact(f"me at a.example: s3cret-word, {header}")
    assert "me at a.example: [redacted], [redacted]" == told
    assert "s3cret" not in repr(login)


@pytest.mark.parametrize("content", ["[]", "null", '{"HttpHeaders": {"X-A": "b"}}', "{}"])
def test_a_file_without_logins_is_nothing_to_tell_of(config_json: Path, content: str) -> None:
    config_json.write_text(content)
    assert NO_LOGIN == login_for("worker")


@pytest.mark.parametrize("content", ["not JSON", "7", '{"auths": {"a": "x"}}', '"text"'])
def test_a_file_that_cannot_be_read_is_told_without_its_content(
    config_json: Path, content: str
) -> None:
    config_json.write_text(content)
    with capture_logs() as logs:
        assert NO_LOGIN == login_for("worker")
    assert ["credentials.unusable"] == [each["event"] for each in logs]
    assert content not in str(logs)


def test_a_named_pipe_is_not_waited_for(config_json: Path) -> None:
    os.mkfifo(config_json)
    with capture_logs() as logs:
        assert NO_LOGIN == login_for("worker")
    assert ["credentials.unusable"] == [each["event"] for each in logs]
