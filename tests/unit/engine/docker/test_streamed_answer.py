"""Logs over the ways that there are to an Engine, from an Engine that answers anything."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from docker.tls import TLSConfig

from observability.metrics import Metrics
from scripts.certificates import Authority
from service.app.metric_labels import new_metrics
from service.engine.docker.connection import Connection
from service.engine.docker.engine import DockerEngine
from service.engine.output import UNREADABLE_LOG
from service.errors import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    NoSuchWorkload,
)

_LINE = b"\1\0\0\0\0\0\0\x252026-11-30T02:13:20.123456789Z hello\n"
_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNK = b"%x\r\n%s\r\n" % (len(_LINE), _LINE)
_WHOLE = _HEAD + _CHUNK + b"0\r\n\r\n"


class Answering:
    """An Engine that has one answer, and remembers what it was asked."""

    def __init__(self, answer: bytes, *, stays: bool = False) -> None:
        self.asked = b""
        self.hung_up = asyncio.Event()
        self._answer, self._stays = answer, stays

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(self._answer)
        if self._stays:
            with suppress(OSError):
                await reader.read()
            self.hung_up.set()
        writer.close()


@asynccontextmanager
async def an_engine(tmp_path: Path, answering: Answering) -> AsyncIterator[DockerEngine]:
    path = tmp_path / "engine.sock"
    server = await asyncio.start_unix_server(answering.serve, path)
    engine = _engine(Connection(f"unix://{path}"))
    async with server:
        yield engine
    await engine.close()


def _metrics() -> Metrics:
    return new_metrics([], version="test", engine="docker", mode="test")


def _engine(connection: Connection, metrics: Metrics | None = None) -> DockerEngine:
    return DockerEngine(connection, {}, metrics or _metrics())


async def _texts(engine: DockerEngine) -> Sequence[str]:
    return [line.text async for lines in engine.logs("c1", follow=True) for line in lines]


async def test_a_log_is_asked_for_with_times_and_read_to_its_end(tmp_path: Path) -> None:
    answering = Answering(_WHOLE)
    async with an_engine(tmp_path, answering) as engine:
        lines = [x async for x in engine.logs("c1", since=1_500_000_000, tail=7)]
    assert [["hello"]] == [[line.text for line in each] for each in lines]
    request = answering.asked.split()[1]
    assert request == (
        b"/containers/c1/logs?stdout=1&stderr=1&timestamps=1&follow=0&since=1.500000000&tail=7"
    )


_AUTHORITY = Authority("engines")


async def test_an_engine_over_tls_is_asked_with_the_certificate_and_the_headers(
    tmp_path: Path,
) -> None:
    theirs = _AUTHORITY.issue("127.0.0.1").write(tmp_path / "engine")
    ours = _AUTHORITY.issue("supervisor").write(tmp_path / "supervisor")
    authority = tmp_path / "ca.pem"
    authority.write_bytes(_AUTHORITY.pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(theirs.chain, theirs.key)
    answering = Answering(_WHOLE)
    server = await asyncio.start_server(answering.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    pair = str(ours.chain), str(ours.key)
    tls = TLSConfig(client_cert=pair, ca_cert=str(authority), verify=True)
    async with server:
        connection = Connection(f"tcp://127.0.0.1:{port}", tls, {"X-Proxy": "a b"})
        assert ["hello"] == await _texts(_engine(connection))
        assert f"Host: 127.0.0.1:{port}\r\n".encode() in answering.asked
        assert b"X-Proxy: a b\r\n" in answering.asked
        with pytest.raises(EngineUnavailable, match="certificate"):
            await _texts(_engine(Connection(f"tcp://127.0.0.1:{port}", TLSConfig(verify=True))))


def _error(status: str, message: str) -> bytes:
    body = f'{{"message": "{message}"}}'
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (_error("404 Not Found", "No such container: c1"), NoSuchWorkload, "c1"),
        (
            _error("409 Conflict", "can not get logs from container which is dead"),
            NoSuchWorkload,
            "c1",
        ),
        (
            _error("501 Not Implemented", "configured logging driver does not support reading"),
            EngineRefused,
            UNREADABLE_LOG,
        ),
        (_error("500 Oops", "it broke"), EngineFailed, "it broke"),
        (_error("503 Away", "no server"), EngineUnavailable, "no server"),
        (b"SSH-2.0-OpenSSH\r\n", EngineUnavailable, "not a Docker Engine"),
        (b"", EngineUnavailable, "reached"),
        (_HEAD + _CHUNK, EngineUnavailable, "reached"),
        (_HEAD + _CHUNK + b"8\r\n\x09\0\0\0\0\0\0\1\r\n", EngineFailed, "malformed"),
    ],
)
async def test_what_an_engine_answers_instead_is_an_error_of_it(
    tmp_path: Path, answer: bytes, kind: type[EngineError], text: str
) -> None:
    async with an_engine(tmp_path, Answering(answer)) as engine:
        with pytest.raises(kind, match=text) as caught:
            await _texts(engine)
        assert kind is type(caught.value)


async def test_an_engine_that_does_not_begin_to_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.engine.docker.logs._OPENING", 0.05)
    answering = Answering(b"", stays=True)
    async with an_engine(tmp_path, answering) as engine:
        with pytest.raises(EngineTimeout):
            await _texts(engine)
        await asyncio.wait_for(answering.hung_up.wait(), 5)


async def test_whoever_reads_no_more_has_hung_up(tmp_path: Path) -> None:
    answering = Answering(_HEAD + _CHUNK, stays=True)
    async with an_engine(tmp_path, answering) as engine:
        lines = engine.logs("c1", follow=True)
        await anext(lines)
        assert not answering.hung_up.is_set()
        await lines.aclose()
        await asyncio.wait_for(answering.hung_up.wait(), 5)


class Flooding(Answering):
    """An Engine that has always more to say."""

    def __init__(self) -> None:
        super().__init__(b"")
        self.written = 0

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_HEAD)
        with suppress(OSError):
            while True:
                writer.write(_CHUNK * 100)
                await writer.drain()
                self.written += 100 * len(_CHUNK)


async def test_an_engine_is_not_read_ahead_of_who_reads_slowly(tmp_path: Path) -> None:
    flooding = Flooding()
    async with an_engine(tmp_path, flooding) as engine:
        lines = engine.logs("c1", follow=True)
        await anext(lines)
        written = 0
        while written < flooding.written:
            written = flooding.written
            await asyncio.sleep(0.1)
        assert written < 2_000_000
        await lines.aclose()


async def test_the_calls_are_measured(tmp_path: Path) -> None:
    path, metrics = tmp_path / "engine.sock", _metrics()
    engine = _engine(Connection(f"unix://{path}"), metrics)
    with pytest.raises(EngineUnavailable):
        await _texts(engine)
    labels = {"operation": "logs", "reason": "unavailable"}
    assert 1 == metrics.registry.get_sample_value("supervisor_engine_errors_total", labels)
