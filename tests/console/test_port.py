"""The port of the console: where it listens, and TLS."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, expect

from scripts.certificates import Authority
from scripts.ports import free_port
from service.access.tokens import hash_line
from service.app.console import address_of
from service.console import connections
from service.settings import Settings
from tests.console.conftest import Served
from tests.console.stub import StubApi, job
from tests.support.supervised import Supervised, eventually

_OURS = Authority("ours")
_TOKEN = "of-eva"
_ANY = {"0.0.0.0", "::"}
_HALF = (
    "POST /api/kill HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
    "Content-Length: 100\r\n\r\n{"
)


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


def test_a_browser_logs_in_with_tls(secured: _Secured, browser: Browser) -> None:
    with closing(browser.new_context(ignore_https_errors=True)) as context:
        page = context.new_page()
        page.goto(f"https://localhost:{secured.console}")
        page.get_by_label("Token").fill(_TOKEN)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text("eva · operator")).to_be_visible()
        page.reload()
        expect(page.get_by_text("eva · operator")).to_be_visible()
        (cookie,) = context.cookies()
    assert (True, True, "Strict") == (cookie["secure"], cookie["httpOnly"], cookie["sameSite"])


def test_a_renewed_certificate_is_used_for_the_next_connection(secured: _Secured) -> None:
    before = secured.certificate()
    _OURS.issue("localhost").write(secured.folder)
    eventually(lambda: secured.certificate() != before)


def test_plain_text_is_not_answered_where_there_is_tls(secured: _Secured) -> None:
    with socket.create_connection(("localhost", secured.console), timeout=10) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1" not in line.recv(100)


def test_connections_that_say_nothing_keep_nobody_out(serve: Callable[..., Served]) -> None:
    console = serve(StubApi([job(1)]))
    port = int(console.url.rpartition(":")[2])
    with ExitStack() as silent:
        for _ in range(250):
            line = silent.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            line.sendall(b"GET / HTTP/1.1\r\nHost: local")
        with urlopen(f"{console.url}/api/jobs", timeout=10) as answer:
            assert b"action-00001" in answer.read()


def test_who_does_not_finish_a_request_or_does_not_read_is_hung_up_on(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_HEAD", 0.6)
    monkeypatch.setattr(connections, "_STALLED", 0.6)
    console = serve(StubApi([job(number, identifier="x" * 600) for number in range(1000)]))
    port = int(console.url.rpartition(":")[2])
    list_all = b"GET /api/jobs?page_size=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for sent in (b"", b"GET / HTTP/1.1\r\nHost", list_all * 9):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(sent)
            eventually(lambda: console.open_connections == 1)
            eventually(lambda: console.open_connections == 0)


@pytest.mark.parametrize("sent", ["", "GET / HTTP/1.1\r\nHost", _HALF])
def test_what_is_under_way_at_a_stop_ends_without_a_word(
    serve: Callable[..., Served], caplog: pytest.LogCaptureFixture, sent: str
) -> None:
    console = serve(StubApi())
    port = int(console.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(sent.encode())
        eventually(lambda: console.open_connections == 1)
        eventually(lambda: console.under_way == (sent == _HALF))
        console.stop()
        assert b"" == line.recv(100)
    assert [] == caplog.records


def test_a_request_that_is_broken_off_is_no_news(
    serve: Callable[..., Served], caplog: pytest.LogCaptureFixture
) -> None:
    console = serve(StubApi())
    port = int(console.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(_HALF.encode())
        eventually(lambda: console.under_way == 1)
    eventually(lambda: console.open_connections == 0)
    console.stop()
    assert [] == caplog.records
