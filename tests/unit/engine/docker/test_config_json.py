"""Docker's config.json: nothing in it is a reason not to start, and its headers go along."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.engine.docker.config_json import http_headers


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def warnings() -> list[str]:
    """What is told of the file, which then has nothing to be used."""
    with capture_logs() as logs:
        assert {} == http_headers()
    assert all("config.json" in log["path"] for log in logs)
    assert {"config_json.ignored"} >= {log["event"] for log in logs}
    return [log["reason"] for log in logs]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"auths": {"registry": {"auth": ""}}}', "auths.registry.auth: "),
        ('{"auths": {"registry": "x"}}', "auths.registry: "),
        ('{"auths": []}', "auths: "),
        ('{"proxies": null}', "proxies: "),
        ('{"proxies": {"default": {"httpProxy": 7}}}', "proxies.default.httpProxy: "),
        ('{"HttpHeaders": null}', "HttpHeaders: "),
        ('{"HttpHeaders": {"X-Number": 7}}', "HttpHeaders.X-Number: "),
        ('{"HttpHeaders": {"not a name": "secret"}}', "HttpHeaders.not a name"),
        ('{"HttpHeaders": {"X": "two\\r\\nlines: secret"}}', "HttpHeaders.X: "),
        ('{"HttpHeaders": {"content-length": "7"}}', "HttpHeaders.content-length"),
        ("[]", "Input should be an object"),
        ("null", "Input should be an object"),
        ("[" * 100_000, "Invalid JSON"),
        ("not JSON", "Invalid JSON"),
        ("", "Invalid JSON"),
        (" " * 1024 * 1025, "it is larger than 1 MiB"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(folder: Path, content: str, reason: str) -> None:
    (folder / "config.json").write_text(content)
    (told,) = warnings()
    assert told.startswith(reason)
    assert "secret" not in told


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_told_and_not_waited_for(
    folder: Path, make: Callable[[Path], None]
) -> None:
    make(folder / "config.json")
    assert 1 == len(warnings())


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        '{"auths": {"registry": {}}, "credsStore": "x", "proxies": {"default": {"noProxy": "x"}}}',
    ],
)
def test_a_common_file_is_nothing_to_tell_of(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    assert [] == warnings()


def test_no_file_is_nothing_to_tell_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert [] == warnings()


def test_headers_are_used_though_the_rest_is_odd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(
        '{"HttpHeaders": {"X-Token": "t"}, "proxies": null}'
    )
    with capture_logs() as logs:
        assert {"X-Token": "t"} == http_headers()
    assert ["config_json.ignored"] == [log["event"] for log in logs]


def test_a_user_without_a_home_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def know_nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", know_nobody)
    assert [] == warnings()
