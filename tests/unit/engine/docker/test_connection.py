"""Where the Engine is, as the environment says it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.engine.docker.connection import Connection, connection_from_env
from service.errors import EngineUnmounted, StartError

VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    for name in VARIABLES:
        os.environ.pop(name, None)
    yield
    os.environ.clear()
    os.environ.update(before)


def connection(**variables: str) -> Connection:
    os.environ.update(variables)
    return connection_from_env()


def fault(**variables: str) -> str:
    with pytest.raises(StartError) as caught:
        connection(**variables)
    return str(caught.value)


@pytest.mark.parametrize("variables", [{}, dict.fromkeys(VARIABLES, "")])
def test_the_engine_is_the_machines_own_by_default(variables: dict[str, str]) -> None:
    assert Connection("unix:///var/run/docker.sock") == connection(**variables)


@pytest.mark.parametrize("url", ["unix:///run/other.sock", "tcp://10.0.0.1:2375", "tcp://[::1]:1"])
def test_the_engine_is_where_the_variable_says(url: str) -> None:
    assert Connection(url) == connection(DOCKER_HOST=url)


@pytest.mark.parametrize(
    "url",
    [
        "ssh://me@host",
        "npipe:////./pipe/x",
        "fd://",
        "/run/docker.sock",
        "localhost:2375",
        "x",
        "tcp://host",
        "tcp://host:port",
        "tcp://host:99999",
    ],
)
def test_an_odd_place_is_refused_with_what_is_allowed(url: str) -> None:
    told = f"DOCKER_HOST={url}: allowed is unix://PATH or tcp://HOST:PORT"
    assert told == fault(DOCKER_HOST=url)


@pytest.mark.parametrize("verify", ["1", ""])
def test_certificates_that_are_not_there_are_told_with_their_variables(
    verify: str, tmp_path: Path
) -> None:
    told = (
        f"DOCKER_TLS_VERIFY={verify}, DOCKER_CERT_PATH={tmp_path}:"
        " allowed is a folder with ca.pem, cert.pem and key.pem"
    )
    assert told == fault(
        DOCKER_HOST="tcp://host:2376", DOCKER_TLS_VERIFY=verify, DOCKER_CERT_PATH=str(tmp_path)
    )


def test_certificates_that_are_there_are_used(tmp_path: Path) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    tls = connection(
        DOCKER_HOST="tcp://host:2376", DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tmp_path)
    ).tls
    assert tls is not None
    assert (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")) == tls.cert
    assert str(tmp_path / "ca.pem") == tls.ca_cert


def test_a_socket_needs_no_certificates(tmp_path: Path) -> None:
    assert connection(DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tmp_path)).tls is None


def test_a_place_of_several_lines_is_told_in_one() -> None:
    told = r"DOCKER_HOST='x\ny': allowed is unix://PATH or tcp://HOST:PORT"
    assert told == fault(DOCKER_HOST="x\ny")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("tcp://me:s3cret@host:2375", "tcp://me:***@host:2375"),
        ("tcp://me:s3@cr/et@host", "tcp://me:***@host"),
        ("me:s3cret@host:2375", "me:***@host:2375"),
        ("https://:s3cret@host", "https://:***@host"),
    ],
)
def test_a_password_is_not_printed(url: str, shown: str) -> None:
    told = f"DOCKER_HOST={shown}: allowed is unix://PATH or tcp://HOST:PORT"
    assert told == fault(DOCKER_HOST=url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("tcp://me:s3cret@host:2375", "tcp://me:***@host:2375"),
        ("tcp://me@host:2375", "tcp://me@host:2375"),
        ("unix:///a:b@c/docker.sock", "unix:///a:b@c/docker.sock"),
    ],
)
def test_a_connection_is_shown_without_a_password(url: str, shown: str) -> None:
    assert shown == Connection(url).shown
    assert "s3cret" not in repr(Connection(url, headers={"X": "s3cret"}))


def test_a_socket_that_has_been_deleted_is_told(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        held = os.open(path, os.O_PATH)  # as a mount holds it
    try:
        one = Connection(f"unix:///proc/self/fd/{held}")
        one.check_mount()  # nobody listens, and somebody may
        path.unlink()
        with pytest.raises(EngineUnmounted, match=r"the mount of .* has been deleted; restart"):
            one.check_mount()
    finally:
        os.close(held)


@pytest.mark.parametrize("url", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"])
def test_an_engine_that_is_merely_away_is_not_taken_for_a_deleted_socket(url: str) -> None:
    Connection(url).check_mount()


def test_the_address_is_the_same_by_whatever_path(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    paths = (f"{tmp_path}/run/docker.sock", f"{tmp_path}/link/docker.sock")
    assert 1 == len({Connection(f"unix://{path}").address for path in paths})
    assert "tcp://10.0.0.1:2375" == Connection("tcp://10.0.0.1:2375").address
