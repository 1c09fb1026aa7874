"""TLS of the gRPC port, with real handshakes."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from observability.callers import certificate_names
from scripts.certificates import EXPIRED, NOT_YET, Authority, Pair, self_signed
from service.api.tls import server_credentials
from service.support.tls_files import Certificates, TlsFile, TlsFiles

_OURS, _THEIRS = Authority("ours"), Authority("theirs")
_SUPERVISOR = _OURS.issue("supervisor")
_BACKEND = _OURS.issue("spiffe://area/backend", "backend.area.internal", "10.0.0.7")
_HANDSHAKE_TIMEOUT = 2_000
_SECONDS = 30.0


class _Port:
    """A server, which tells its callers the names in their certificates."""

    def __init__(self, folder: Path, *, authorities: bytes | None = None) -> None:
        self._folder = folder
        self._authorities = authorities
        self.serve_with(_SUPERVISOR)
        options = [("grpc.server_handshake_timeout_ms", _HANDSHAKE_TIMEOUT)]
        self.server = aio.server(options=options)
        handler: Any = grpc.unary_unary_rpc_method_handler(_names)
        handlers = grpc.method_handlers_generic_handler("tests", {"Names": handler})
        self.server.add_generic_rpc_handlers([handlers])
        credentials = server_credentials(lambda: self.certificates)
        self.number = self.server.add_secure_port("127.0.0.1:0", credentials)

    def serve_with(self, pair: Pair) -> None:
        chain, key = pair.write(self._folder)
        files = TlsFiles(TlsFile("CERT", chain), TlsFile("KEY", key), self._authority_file())
        self.certificates: Certificates = files.read()

    def trust(self, *authorities: Authority) -> None:
        """Let in clients of other authorities only."""
        self._authorities = b"".join(each.pem for each in authorities)
        self.serve_with(_SUPERVISOR)

    def _authority_file(self) -> TlsFile | None:
        if self._authorities is None:
            return None
        file = TlsFile("CA", self._folder / "ca.crt")
        file.path.write_bytes(self._authorities)
        return file

    def channel(
        self, pair: Pair | None = None, *, trusts: Authority = _OURS, name: str = "supervisor"
    ) -> aio.Channel:
        key, chain = (pair.key, pair.chain) if pair else (None, None)
        credentials = grpc.ssl_channel_credentials(trusts.pem, key, chain)
        options = [("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1)]
        return aio.secure_channel(f"127.0.0.1:{self.number}", credentials, options)

    async def names(self, pair: Pair | None = None, **channel: Any) -> list[str]:
        """The names in the certificate of a client, as the server sees them."""
        async with self.channel(pair, **channel) as client:
            return await names_over(client)

    async def is_refused(self, pair: Pair | None = None, **channel: Any) -> bool:
        with pytest.raises(grpc.RpcError) as raised:
            await self.names(pair, **channel)
        return raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def _names(_: bytes, context: Any) -> bytes:
    return "\n".join(certificate_names(context)).encode()


async def names_over(channel: aio.Channel) -> list[str]:
    call: Any = channel.unary_unary("/tests/Names")
    answer: bytes = await call(b"", timeout=_SECONDS)
    return answer.decode().splitlines()


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[_Port]:
    """A port that asks for no client certificate."""
    port = _Port(tmp_path)
    await port.server.start()
    yield port
    await port.server.stop(0)


@pytest.fixture
async def closed(tmp_path: Path) -> AsyncIterator[_Port]:
    """A port that asks for a client certificate of our authority."""
    port = _Port(tmp_path, authorities=_OURS.pem)
    await port.server.start()
    yield port
    await port.server.stop(0)


async def test_a_client_that_trusts_the_authority_is_served(port: _Port) -> None:
    assert [] == await port.names()


async def test_the_names_of_a_client_are_those_in_its_certificate(closed: _Port) -> None:
    assert ["spiffe://area/backend", "dns:backend.area.internal", "ip:10.0.0.7"] == (
        await closed.names(_BACKEND)
    )


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(None, id="without"),
        pytest.param(_THEIRS.issue("backend.area.internal"), id="wrong authority"),
        pytest.param(self_signed("backend.area.internal"), id="self-signed"),
        pytest.param(_OURS.issue("backend.area.internal", lifetime=EXPIRED), id="expired"),
        pytest.param(_OURS.issue("backend.area.internal", lifetime=NOT_YET), id="not yet valid"),
        pytest.param(Pair(_BACKEND.chain, _OURS.issue("x").key), id="somebody else's certificate"),
    ],
)
async def test_a_client_without_a_valid_certificate_of_our_authority_is_refused(
    closed: _Port, pair: Pair | None
) -> None:
    assert await closed.is_refused(pair)
    assert await closed.names(_BACKEND)


async def test_an_authority_that_has_expired_lets_nobody_in_whatever_its_certificates_say(
    closed: _Port,
) -> None:
    expired = Authority("expired", lifetime=EXPIRED)
    closed.trust(expired, _OURS)
    assert await closed.is_refused(expired.issue("backend.area.internal"))
    assert await closed.names(_BACKEND)


async def test_a_client_refuses_a_server_of_another_authority_or_name(port: _Port) -> None:
    assert await port.is_refused(trusts=_THEIRS)
    assert await port.is_refused(name="other")


def _refused_hello(port: _Port, client: ssl.SSLContext) -> bool:
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port.number), _SECONDS) as connection:
        try:
            client.wrap_socket(connection).close()
        except OSError:
            return True
    return False


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(
    ("version", "refused"),
    [
        (ssl.TLSVersion.TLSv1, True),
        (ssl.TLSVersion.TLSv1_1, True),
        (ssl.TLSVersion.TLSv1_2, False),
        (ssl.TLSVersion.TLSv1_3, False),
    ],
)
async def test_tls_before_1_2_is_refused(
    port: _Port, version: ssl.TLSVersion, refused: bool
) -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.set_ciphers("ALL:@SECLEVEL=0")  # OpenSSL itself would not try the old ones
    client.minimum_version = client.maximum_version = version
    assert refused == await asyncio.to_thread(_refused_hello, port, client)


async def test_plain_text_on_a_port_with_tls_is_refused(port: _Port) -> None:
    async with aio.insecure_channel(f"127.0.0.1:{port.number}") as plain:
        with pytest.raises(grpc.RpcError) as raised:
            await names_over(plain)
    assert grpc.StatusCode.UNAVAILABLE == raised.value.code()
    assert [] == await port.names()


async def test_tls_on_a_port_with_plain_text_is_refused(port: _Port) -> None:
    plain = aio.server()
    number = plain.add_insecure_port("127.0.0.1:0")
    await plain.start()
    port.number, served = number, port.number
    assert await port.is_refused()
    port.number = served
    await plain.stop(0)


async def test_a_renewed_certificate_is_used_for_the_next_connection_and_no_call_is_lost(
    port: _Port,
) -> None:
    async with port.channel() as before:
        calls = [asyncio.ensure_future(names_over(before)) for _ in range(300)]
        await calls[0]
        port.serve_with(_THEIRS.issue("supervisor"))
        for _ in range(7):  # meanwhile, others connect anew
            assert [] == await port.names(trusts=_THEIRS)
            calls += [asyncio.ensure_future(names_over(before)) for _ in range(100)]
        assert [[]] * 1000 == await asyncio.gather(*calls)
    assert await port.is_refused(trusts=_OURS)


async def test_other_authorities_count_for_the_next_connection(closed: _Port) -> None:
    theirs = _THEIRS.issue("backend.area.internal")
    assert await closed.names(_BACKEND)
    closed.trust(_THEIRS)
    assert await closed.is_refused(_BACKEND)
    assert ["dns:backend.area.internal"] == await closed.names(theirs)


async def test_for_how_long_an_earlier_handshake_counts(
    closed: _Port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that has expired since would let in whoever resumes a session for days."""
    client = ssl.create_default_context(cadata=_OURS.pem.decode())
    client.load_cert_chain(*_BACKEND.write(tmp_path / "client"))
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # it tells of the session at once
    assert await asyncio.to_thread(_resumes, closed, client)
    monkeypatch.setattr("service.api.tls._RESUMABLE", 0.0)
    assert not await asyncio.to_thread(_resumes, closed, client)
    async with closed.channel(_BACKEND) as before:
        for _ in range(3):
            assert await closed.names(_BACKEND)
            assert await names_over(before), "what is open goes on"


def _resumes(port: _Port, client: ssl.SSLContext) -> bool:
    """Whether a second connection has the session of the first."""
    session = None
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", port.number), _SECONDS) as raw,
            client.wrap_socket(raw, server_hostname="supervisor", session=session) as secured,
        ):
            session = secured.session
            resumed = bool(secured.session_reused)
    return resumed


async def test_slow_handshakes_by_the_hundred_keep_nobody_out(port: _Port) -> None:
    with ExitStack() as stack:
        address = ("127.0.0.1", port.number)
        slow = [stack.enter_context(socket.create_connection(address, 30)) for _ in range(300)]
        for connection in slow:
            connection.sendall(b"\x16\x03\x01")  # a hello begins so
        for _ in range(10):
            assert [] == await port.names()
        await asyncio.to_thread(slow[0].recv, 1)  # it is hung up on
