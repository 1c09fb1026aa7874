"""The port of the console: where it listens, and TLS."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from scripts.certificates import Authority
from scripts.ports import free_port
from service.access.tokens import hash_line
from service.app.console import address_of
from service.settings import Settings
from tests.support.supervised import Supervised, eventually

_OURS = Authority("ours")
_TOKEN = "of-eva"
_ANY = {"0.0.0.0", "::"}


@pytest.mark.parametrize(
    ("settings", "closed", "where"),
    [
        ({}, False, {"127.0.0.1"}),
        ({"bind_address": ip_address("10.0.0.1")}, False, {"127.0.0.1"}),
        ({"bind_address": ip_address("::1")}, False, {"::1"}),
        ({}, True, _ANY),
        ({"bind_address": ip_address("10.0.0.1")}, True, {"10.0.0.1"}),
        ({"console_open": True}, False, _ANY),
        ({"console_open": True, "bind_address": ip_address("10.0.0.1")}, False, {"10.0.0.1"}),
    ],
)
def test_it_listens_beyond_loopback_only_if_it_may(
    settings: dict[str, Any], closed: bool, where: set[str]
) -> None:
    """It may with TLS and an access file (`closed`), or if its operator says so."""
    assert address_of(Settings(**settings), closed=closed) in where


class _Secured(Supervised):
    """A supervisor with an access file and TLS. It has no Engine."""

    def __init__(self, directory: Path) -> None:
        self.console, self.folder = free_port(), directory / "tls"
        access = directory / "access.toml"
        access.write_text(f'[clients.eva]\nrole = "operator"\ntokens = ["{hash_line(_TOKEN)}"]\n')
        settings = {
            "DOCKER_HOST": f"unix://{directory}/none.sock",
            "ACCESS_FILE": str(access),
            "CONSOLE_PORT": str(self.console),
            **_OURS.issue("localhost").write(self.folder).settings("METRICS"),
        }
        super().__init__(directory, settings)

    def connect(self) -> HTTPSConnection:
        trusting = ssl.create_default_context(cadata=_OURS.pem.decode())
        connection = HTTPSConnection("localhost", self.console, context=trusting, timeout=10)
        connection.connect()
        return connection

    def certificate(self) -> bytes | None:
        with closing(self.connect()) as connection:
            assert isinstance(connection.sock, ssl.SSLSocket)
            return connection.sock.getpeercert(binary_form=True)


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[_Secured]:
    supervisor = _Secured(tmp_path)
    supervisor.start(ready=False)
    eventually(lambda: list(supervisor.events("console.opened")))
    yield supervisor
    supervisor.stop()
    supervisor.channel.close()


def test_with_tls_the_cookie_is_for_tls_only(secured: _Secured) -> None:
    with closing(secured.connect()) as connection:
        headers = {
            "Origin": f"https://localhost:{secured.console}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        connection.request("POST", "/login", f"token={_TOKEN}", headers)
        answer = connection.getresponse()
        cookie = answer.headers["Set-Cookie"]
    assert (303, True, True) == (answer.status, "Secure" in cookie, "HttpOnly" in cookie)
    assert _TOKEN not in cookie


def test_a_renewed_certificate_is_used_for_the_next_connection(secured: _Secured) -> None:
    before = secured.certificate()
    _OURS.issue("localhost").write(secured.folder)
    eventually(lambda: secured.certificate() != before)


def test_plain_text_is_not_answered_where_there_is_tls(secured: _Secured) -> None:
    with socket.create_connection(("localhost", secured.console), timeout=10) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1" not in line.recv(100)
