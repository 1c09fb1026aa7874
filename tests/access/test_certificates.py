"""Clients that are named by their certificates, at a real port with TLS."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc import aio

from scripts.certificates import Authority, Pair
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service.support.tls_files import Certificates, TlsFile, TlsFiles
from tests.access.served import FILE, Metadata, Served, bearer, refusal, served

_OURS = Authority("ours")
_SERVER = _OURS.issue("127.0.0.1")
_NAME = "backend.area.internal"
_FILE = f"""{FILE}
[clients.watcher]
certificates = ["dns:{_NAME}", "spiffe://area/watcher"]
role = "observer"

[clients.other]
certificates = ["dns:other", "dns://host"]
role = "operator"

[anonymous]
role = "operator"
"""


@pytest.fixture
def read(tmp_path: Path) -> Certificates:
    files = _SERVER.write(tmp_path)
    authorities = tmp_path / "ca.crt"
    authorities.write_bytes(_OURS.pem)
    return TlsFiles(
        TlsFile("CERT", files.chain), TlsFile("KEY", files.key), TlsFile("CA", authorities)
    ).read()


@pytest.fixture
async def secured(read: Certificates) -> AsyncIterator[Served]:
    async with served(_FILE, lambda: read) as made:
        yield made


async def _outcome(door: Served, pair: Pair, metadata: Metadata = (), *, kill: bool) -> str:
    """How a list ends, or a kill of all."""
    credentials = grpc.ssl_channel_credentials(_OURS.pem, pair.key, pair.chain)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.secure_channel(f"127.0.0.1:{door.port}", credentials, options) as channel:
        stub: Any = AreaSupervisorServiceStub(channel)
        call = stub.KillAllJobs if kill else stub.ListJobs
        try:
            await call(Empty(), metadata=metadata, timeout=30)
        except aio.AioRpcError as error:
            return error.code().name
    return "OK"


@pytest.mark.parametrize("name", [_NAME, _NAME.upper(), "spiffe://area/watcher"])
async def test_a_name_in_a_certificate_names_the_client(secured: Served, name: str) -> None:
    pair = _OURS.issue("x", name)
    assert "OK" == await _outcome(secured, pair, kill=False)
    assert "PERMISSION_DENIED" == await _outcome(secured, pair, kill=True)
    (told,) = secured.events("call.audited")
    shown = name if "://" in name else f"dns:{name.lower()}"
    assert ("watcher", True) == (told["client"], shown in told["certificate"])


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["backend"],
        [f"x.{_NAME}"],
        [f"{_NAME}\0.evil.example"],
        ["spiffe://area/watcher\0"],
        ["x", "spiffe://area/watcher\0/x"],
        ["spiffe://area/Watcher"],
        [_NAME, "other"],
        ["//host"],
    ],
    ids=range(9),
)
async def test_a_certificate_of_our_authority_with_a_wrong_name_lets_nobody_in(
    secured: Served, names: list[str]
) -> None:
    """Not as whoever shows no credential, either."""
    assert "UNAUTHENTICATED" == await _outcome(secured, _OURS.issue(*names), kill=False)
    assert {"unknown": 1} == secured.failures()


async def test_a_token_names_the_client_before_its_certificate(secured: Served) -> None:
    pair = _OURS.issue(_NAME)
    assert "OK" == await _outcome(secured, pair, bearer("night-shift"), kill=True)
    assert "UNAUTHENTICATED" == await _outcome(secured, pair, bearer("nobody"), kill=False)
    told = [event.get("client") for event in secured.events("call.audited")]
    assert ["night-shift"] == told


async def test_a_token_does_not_replace_the_certificate(secured: Served) -> None:
    assert "UNAVAILABLE" == (await refusal(secured.listed("night-shift")))[0]


@pytest.mark.parametrize(
    ("names", "client"),
    [
        ([_NAME], f"dns:{_NAME}"),
        ([_NAME, "spiffe://area/backend"], "spiffe://area/backend"),
        ([], "nameless"),
        ([f"spiffe://area/{'x' * 300}"], f"spiffe://area/{'x' * 300}"[:255]),
    ],
    ids=range(4),
)
async def test_without_an_access_file_the_certificate_names_the_client(
    read: Certificates, names: list[str], client: str
) -> None:
    """It may do everything, and a token that it sends means nothing."""
    async with served(None, lambda: read) as door:
        for metadata in ((), bearer("nobody")):
            assert "OK" == await _outcome(door, _OURS.issue(*names), metadata, kill=True)
        assert [(client, "killed")] * 2 == [
            (each["client"], each["outcome"]) for each in door.events("call.audited")
        ]
        assert [client] * 2 == [each["client"] for each in door.events("kill_all.ended")]
        assert {} == door.failures()
