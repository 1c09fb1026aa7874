"""The file `.env`, whose variables count unless the environment sets them."""

import os
import socket
import threading
from pathlib import Path

import pytest

from service.app.environment import load_env_file
from service.errors import StartError
from tests.unit.app.variables import fault, settings

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_the_file_sets_what_is_not_set(env_file: Path) -> None:
    env_file.write_text("GO_ENV=production\n# a comment\nMETRICS_PORT=1234 # another\n")
    load_env_file(env_file)
    assert ("production", 1234) == (settings().go_env, settings().metrics_port)


def test_the_file_sets_what_others_read(env_file: Path) -> None:
    os.environ.pop("DOCKER_HOST", None)
    env_file.write_text('DOCKER_HOST="unix:///somewhere"')
    load_env_file(env_file)
    assert "unix:///somewhere" == os.environ["DOCKER_HOST"]


def test_the_environment_goes_before_the_file(env_file: Path) -> None:
    env_file.write_text("GO_ENV=production")
    os.environ["GO_ENV"] = "development"
    load_env_file(env_file)
    assert "development" == settings().go_env


def test_settings_are_read_in_lower_case_as_well(env_file: Path) -> None:
    env_file.write_text("supervisor_on_start=adopt")
    load_env_file(env_file)
    read = settings(go_env="production")
    assert ("adopt", True) == (read.supervisor_on_start, read.production)


def test_the_environment_goes_before_the_file_in_whatever_case(env_file: Path) -> None:
    env_file.write_text("go_env=production\nMETRICS_PORT=1234")
    os.environ |= {"GO_ENV": "development", "metrics_port": "4321"}
    load_env_file(env_file)
    assert ("development", 4321) == (settings().go_env, settings().metrics_port)


def test_the_file_fills_what_is_empty(env_file: Path) -> None:
    env_file.write_text("GO_ENV=production")
    os.environ["GO_ENV"] = ""
    load_env_file(env_file)
    assert "production" == settings().go_env


@pytest.mark.parametrize("line", ["GO_ENV=", "GO_ENV", "GO_ENV=''"])
def test_an_empty_line_of_the_file_sets_nothing(env_file: Path, line: str) -> None:
    env_file.write_text(line)
    load_env_file(env_file)
    assert "GO_ENV" not in os.environ


def test_a_wrong_setting_in_the_file_is_told_in_the_same_way(env_file: Path) -> None:
    env_file.write_text("GO_ENV=prod")
    load_env_file(env_file)
    assert "GO_ENV=prod: allowed is production or development" == fault()


def test_there_need_be_no_file(env_file: Path) -> None:
    before = dict(os.environ)
    load_env_file(env_file)
    assert before == dict(os.environ)


def test_the_file_is_that_of_the_working_directory(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text("GO_ENV=production")
    monkeypatch.chdir(env_file.parent)
    load_env_file()
    assert settings().production


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_file_may_come_from_any_editor(env_file: Path, start: bytes, end: bytes) -> None:
    env_file.write_bytes(start + b"GO_ENV=production" + end + b'METRICS_PORT="1234"' + end)
    load_env_file(env_file)
    assert ("production", 1234) == (settings().go_env, settings().metrics_port)


def test_a_named_pipe_is_read(env_file: Path) -> None:
    os.mkfifo(env_file)
    writer = threading.Thread(target=env_file.write_text, args=("GO_ENV=production\n",))
    writer.start()
    load_env_file(env_file)
    writer.join()
    assert settings().production


def test_a_named_pipe_that_nobody_writes_into_is_told(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.support.text_file._PIPE_TIMEOUT", 0.05)
    os.mkfifo(env_file)
    with pytest.raises(
        StartError, match=r"\.env: cannot be read: no program has written into this"
    ):
        load_env_file(env_file)


def test_what_is_called_so_and_is_no_file_is_never_passed_over(env_file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(env_file))
        _assert_it_cannot_be_read(env_file)
    env_file.unlink()
    env_file.symlink_to("nowhere")
    _assert_it_cannot_be_read(env_file)
    env_file.unlink()
    env_file.mkdir()
    _assert_it_cannot_be_read(env_file)


def _assert_it_cannot_be_read(path: Path) -> None:
    with pytest.raises(StartError) as caught:
        load_env_file(path)
    assert str(caught.value).startswith(f"{path}: cannot be read: ")


def test_a_file_of_nothing_is_a_file(env_file: Path) -> None:
    before = dict(os.environ)
    env_file.symlink_to("/dev/null")
    load_env_file(env_file)
    assert before == dict(os.environ)


@pytest.mark.parametrize("content", [b"\xff\xfeG\0O\0", b"GO_ENV=a\0b\n", b"'a=b'=c\n"])
def test_a_file_that_cannot_be_read_is_told_with_its_name(env_file: Path, content: bytes) -> None:
    env_file.write_bytes(content)
    with pytest.raises(StartError) as caught:
        load_env_file(env_file)
    assert str(caught.value).startswith(f"{env_file}: cannot be read: ")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('METRICS_PORT=1\nGO_ENV="s3cret\nLOG_LEVEL=info\n', 2),
        ("GO_ENV='s3cret", 1),
        ('GO_ENV="s3cret" s3cret\n', 1),
        ("# a comment\n\n\nGO ENV=s3cret\n", 4),
        ("=s3cret\n", 1),
        ("GO_ENV: s3cret\n", 1),
    ],
)
def test_a_line_that_is_not_understood_is_told_by_its_number_and_not_shown(
    env_file: Path, content: str, line: int
) -> None:
    env_file.write_text(content)
    with pytest.raises(StartError) as caught:
        load_env_file(env_file)
    assert str(caught.value).startswith(f"{env_file}: line {line}: is not NAME=VALUE")
    assert "s3cret" not in str(caught.value)
    assert "METRICS_PORT" not in os.environ


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_value_may_take_several_lines_and_others_may_stand_in_it(
    env_file: Path, end: str
) -> None:
    text = 'GO_ENV=production\nexport X_Y="a\nb"\nX_Z=${GO_ENV}!\n'
    env_file.write_bytes(text.replace("\n", end).encode())
    load_env_file(env_file)
    assert ("a\nb", "production!") == (os.environ["X_Y"], os.environ["X_Z"])
