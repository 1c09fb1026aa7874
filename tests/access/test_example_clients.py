"""The clients of examples/clients, as an access file and TLS ask it of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest

from examples.clients import supervisor as python
from scripts.certificates import Authority
from service.support.tls_files import TlsFile, TlsFiles
from tests.access.served import FILE, Served, served
from tests.support import node

_OURS, _THEIRS = Authority("ours"), Authority("theirs")
_NAMED = """
[clients.certified]
certificates = ["dns:backend.area.internal"]
role = "backend"
"""
_IN, _OUT, _NO_CONNECTION = "in", "UNAUTHENTICATED", "DEADLINE_EXCEEDED"
_CODES = {status.value[0]: status.name for status in grpc.StatusCode}

# How a launch ends: for a port, a token, and an authority with maybe a key and a certificate.
Ask = Callable[[int, str, Sequence[bytes], float], str]


def _with_node(port: int, token: str, tls: Sequence[bytes], seconds: float) -> str:
    wanted = {
        "address": f"localhost:{port}",
        "seconds": seconds,
        "token": token,
        "tls": [each.decode() for each in tls],
        "calls": [("launch", {"name": "timer", "identifier": "t-1"}), ("health",)],
    }
    launched, health = node.told("client.js", wanted, within=60)
    assert health.get("gave", "SERVING") == "SERVING"
    return _IN if "gave" in launched else _CODES[launched["code"]]


def _with_python(port: int, token: str, tls: Sequence[bytes], seconds: float) -> str:
    encryption = grpc.ssl_channel_credentials(*tls)
    client = python.Supervisor(
        f"localhost:{port}", seconds=seconds, token=token, encryption=encryption
    )
    with closing(client):
        try:
            client.launch("timer", "t-1")
        except grpc.RpcError as error:
            failed: Any = error
            return str(failed.code().name)
        assert "SERVING" == client.health()
    return _IN


both = pytest.mark.parametrize("ask", [_with_node, _with_python], ids=["node", "python"])


@pytest.fixture
async def door(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    """Over TLS; with the parameter `certified`, clients have to show certificates."""
    files = _OURS.issue("localhost", "127.0.0.1").write(tmp_path)
    (tmp_path / "ca.crt").write_bytes(_OURS.pem)
    asks = TlsFile("CA", tmp_path / "ca.crt") if request.param == "certified" else None
    read = TlsFiles(TlsFile("CERT", files.chain), TlsFile("KEY", files.key), asks).read()
    async with served(FILE + (_NAMED if asks else ""), lambda: read) as made:
        yield made


async def _outcome(ask: Ask, door: Served, token: str, *tls: bytes, seconds: float = 60) -> str:
    return await asyncio.to_thread(ask, door.port, token, tls, seconds)


@both
@pytest.mark.parametrize("door", ["tokens"], indirect=True)
async def test_a_token_lets_them_in_over_tls(ask: Ask, door: Served) -> None:
    assert _IN == await _outcome(ask, door, "of-backend", _OURS.pem)
    assert {"t-1": "running"} == door.world.listed()
    for token in ("of-nobody", ""):
        assert _OUT == await _outcome(ask, door, token, _OURS.pem)
    assert _NO_CONNECTION == await _outcome(ask, door, "of-backend", _THEIRS.pem, seconds=2)


@both
@pytest.mark.parametrize("door", ["certified"], indirect=True)
async def test_a_certificate_lets_them_in(ask: Ask, door: Served) -> None:
    pair = _OURS.issue("backend.area.internal")
    assert _IN == await _outcome(ask, door, "", _OURS.pem, pair.key, pair.chain)
    (told,) = door.events("call.audited")
    assert "certified" == told["client"]
    without = await _outcome(ask, door, "of-backend", _OURS.pem, seconds=2)
    # With TLS 1.3 a client hears of its refusal when it has begun a call, which grpc-js cancels.
    assert without in (_NO_CONNECTION, "CANCELLED")
