"""TLS of the HTTP endpoint, with real handshakes."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from observability import http_connections, http_handshakes
from observability.http_endpoint import HttpEndpoint
from observability.http_handshakes import Tls
from scripts.certificates import Authority, Pair
from service.support.tls_files import Certificates, TlsFile, TlsFiles
from tests.support.supervised import eventually

_OURS, _THEIRS = Authority("ours"), Authority("theirs")
_SECONDS = 30

pytestmark = pytest.mark.usefixtures("quiet")


class _Served:
    """An endpoint that speaks TLS, and its clients."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.serve_with(_OURS.issue("127.0.0.1"))
        self.failures: list[tuple[str, str]] = []
        self.registry = CollectorRegistry()
        tls = Tls(lambda: self.certificates.context, lambda *failed: self.failures.append(failed))
        probes = {"/livez": _alive}
        self.endpoint = HttpEndpoint("127.0.0.1", 0, self.registry, probes, tls=tls)
        self.endpoint.start()

    def serve_with(self, pair: Pair) -> None:
        chain, key = pair.write(self._folder)
        self.certificates: Certificates = TlsFiles(TlsFile("C", chain), TlsFile("K", key)).read()

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.endpoint.port), _SECONDS)

    def connection(self, trusts: Authority = _OURS) -> http.client.HTTPSConnection:
        client = ssl.create_default_context(cadata=trusts.pem.decode())
        port = self.endpoint.port
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=_SECONDS, context=client)

    def secured(self) -> ssl.SSLSocket:
        client = ssl.create_default_context(cadata=_OURS.pem.decode())
        return client.wrap_socket(self.raw(), server_hostname="127.0.0.1")

    def get(self, path: str = "/livez", trusts: Authority = _OURS) -> tuple[int, str]:
        with closing(self.connection(trusts)) as connection:
            return _ask(connection, path)


def _ask(connection: http.client.HTTPConnection, path: str = "/livez") -> tuple[int, str]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


async def _alive() -> tuple[bool, str]:
    return True, "alive"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[_Served]:
    served = _Served(tmp_path)
    yield served
    served.endpoint.close()


def test_pages_are_served(served: _Served) -> None:
    assert (200, "alive\n") == served.get()
    with closing(served.connection()) as connection:  # requests follow each other on one
        assert [200, 200, 404] == [_ask(connection, p)[0] for p in ("/livez", "/metrics", "/no")]
    assert [] == served.failures


def test_a_large_answer_arrives_whole(served: _Served) -> None:
    Gauge("big", "x" * 3_000_000, registry=served.registry)
    status, text = served.get("/metrics")
    assert (200, 3_000_000) == (status, text.count("x"))


def test_a_renewed_certificate_is_for_the_next_connection(served: _Served) -> None:
    with closing(served.connection()) as before:
        assert 200 == _ask(before)[0]
        served.serve_with(_THEIRS.issue("127.0.0.1"))
        assert (200, "alive\n") == served.get(trusts=_THEIRS)
        assert 200 == _ask(before)[0]
    with pytest.raises(ssl.SSLCertVerificationError):
        served.get()


def test_a_client_that_refuses_the_certificate_is_told_with_its_address(served: _Served) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        served.get(trusts=_THEIRS)
    ((error, peer),) = eventually(lambda: served.failures)
    assert "ALERT_UNKNOWN_CA" in error
    assert peer.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP_REQUEST"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "WRONG_VERSION_NUMBER"),
        (b"\xff" * 100, "WRONG_VERSION_NUMBER"),
    ],
)
def test_plain_text_is_refused(served: _Served, sent: bytes, told: str) -> None:
    with served.raw() as plain:
        plain.sendall(sent)
        with suppress(ConnectionResetError):
            while plain.recv(9999):
                pass
    ((error, _),) = eventually(lambda: served.failures)
    assert told in error
    assert 200 == served.get()[0]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_tls_before_1_2_is_refused(served: _Served, version: ssl.TLSVersion) -> None:
    client = ssl.create_default_context(cadata=_OURS.pem.decode())
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = version
    with served.raw() as raw, pytest.raises(OSError, match=r"SSL|reset"):
        client.wrap_socket(raw, server_hostname="127.0.0.1")
    ((error, _),) = eventually(lambda: served.failures)
    assert "UNSUPPORTED_PROTOCOL" in error


def test_slow_handshakes_by_the_hundred_keep_nobody_out(served: _Served) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(served.raw()) for _ in range(300)]
        for each in silent:
            with suppress(OSError):  # it has made room already
                each.sendall(b"\x16\x03\x01")
        for _ in range(5):
            assert 200 == served.get()[0]
    assert [] == served.failures


def test_a_client_that_never_finishes_its_handshake_is_hung_up_on(
    served: _Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_handshakes, "_TIMEOUT", 0.2)
    with served.raw() as slow:
        slow.sendall(b"\x16\x03\x01")
        with suppress(ConnectionResetError):
            assert b"" == slow.recv(1)


@pytest.mark.parametrize("sent", [b"", b"GET /liv"])
def test_a_client_that_says_nothing_more_is_hung_up_on(
    served: _Served, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(http_connections, "_TIMEOUT", 0.2)
    with served.secured() as slow:
        slow.sendall(sent)
        with suppress(OSError):
            assert b"" == slow.recv(1)


def test_a_client_that_does_not_take_its_answer_is_hung_up_on(
    served: _Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "_TIMEOUT", 1)
    Gauge("big", "x" * 20_000_000, registry=served.registry)
    with served.secured() as lazy:
        lazy.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert lazy.recv(1)
        both = _open_files()
        eventually(lambda: _open_files() < both)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_is_no_request_is_told_so_and_hung_up_on(served: _Served) -> None:
    with served.secured() as odd:
        odd.sendall(b"nonsense\r\n\r\n")
        answer = b""
        with suppress(OSError):
            while more := odd.recv(9999):
                answer += more
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_request_and_its_end_at_once_are_answered(served: _Served) -> None:
    with served.secured() as quick:
        quick.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := quick.recv(9999):
            answer += more
    assert answer.endswith(b"alive\n")
