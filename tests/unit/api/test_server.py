"""The limits of the gRPC server, on a port of its own."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from typing import Any, cast

import grpc
import pytest
from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from service._generated.supervisor.v1.observer_pb2 import (
    DESCRIPTOR,
    GetJobRequest,
    Job,
    WatchJobsRequest,
    WatchJobsResponse,
)
from service._generated.supervisor.v1.observer_pb2_grpc import (
    JobObserverServicer,
    JobObserverStub,
    add_JobObserverServicer_to_server,
)
from service.api import server
from service.api.jobs_service import JobsService
from service.api.server import GrpcServer
from service.api.services import GrpcService
from service.app.metric_labels import new_metrics
from service.lifecycle.use_cases import Supervisor
from service.state.readiness import Readiness
from tests.support.counted_calls import eventually
from tests.support.supervised import free_port

_LAUNCHES = 50
# Of the server in these tests (seconds): how often it asks whether somebody is there, and how long
# it waits for an answer, or for a first word. A busy machine needs a while for either.
_BEAT, _PATIENCE = 0.3, 2.0
_LONG = 20.0

# RFC 9113: the client's preface, and the frames that matter here.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS, _PING, _GOAWAY = 4, 6, 7
_ACK = 1
_MAX_CONCURRENT_STREAMS = 3


class _Port:
    """A server that listens, and clients of it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def channel(self) -> aio.Channel:
        return aio.insecure_channel(f"127.0.0.1:{self.number}")

    def peer(self) -> "_Peer":
        return _Peer(self.number)


class _Peer:
    """A client that knows just enough of HTTP/2 to answer pings, or not to."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_LONG)

    def say_hello(self) -> None:
        self._socket.sendall(_PREFACE + _frame(_SETTINGS, 0, b""))

    def next_frame(self, kind: int) -> bytes:
        """What the next frame of a kind holds; empty once the other side has hung up."""
        while head := self._read(9):
            payload = self._read(int.from_bytes(head[:3]))
            if head[3] == kind and not head[4] & _ACK:
                return payload
        return b""

    def answer_ping(self) -> None:
        self._socket.sendall(_frame(_PING, _ACK, self.next_frame(_PING)))

    def close(self) -> None:
        self._socket.close()

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := self._socket.recv(size - len(data))):
            data += more
        return data


def _frame(kind: int, flags: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + struct.pack(">BBI", kind, flags, 0) + payload


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Port]:
    """A server whose keepalive has a quick beat."""
    patience = int(_PATIENCE * 1000)
    quick = {
        "grpc.keepalive_time_ms": int(_BEAT * 1000),
        "grpc.http2.ping_timeout_ms": patience,
        "grpc.server_handshake_timeout_ms": patience,
    }
    options = dict(server._OPTIONS)
    assert quick.keys() <= options.keys()
    monkeypatch.setattr(server, "_OPTIONS", list((options | quick).items()))
    metrics = new_metrics([], version="test", engine="none", mode="test")
    servicer = JobsService(cast("Supervisor", None), Readiness("Docker Engine"), metrics)
    number = free_port()
    running = GrpcServer("127.0.0.1", number, [servicer.as_service()], metrics, launches=_LAUNCHES)
    await running.start()
    yield _Port(number)
    await running.stop(0)


async def _live(channel: aio.Channel, metadata: tuple[tuple[str, str], ...] = ()) -> str:
    check = HealthStub(channel).Check  # type: ignore[attr-defined]
    answer = await check(HealthCheckRequest(service="liveness"), metadata=metadata, timeout=_LONG)
    return HealthCheckResponse.ServingStatus.Name(answer.status)


async def _with_a_peer(port: _Port, work: Callable[[_Peer], bytes]) -> bytes:
    with closing(port.peer()) as peer:
        return await asyncio.to_thread(work, peer)


async def test_a_connection_may_have_more_streams_than_there_may_be_launches(port: _Port) -> None:
    def settings(peer: _Peer) -> bytes:
        peer.say_hello()
        return peer.next_frame(_SETTINGS)

    raw = await _with_a_peer(port, settings)
    told = dict(struct.unpack(">HI", raw[at : at + 6]) for at in range(0, len(raw), 6))
    assert _LAUNCHES + 1000 == told[_MAX_CONCURRENT_STREAMS]


async def test_metadata_has_a_limit_and_the_connection_goes_on(port: _Port) -> None:
    async with port.channel() as channel:
        assert "SERVING" == await _live(channel, (("x-some", "y" * 15_000),))
        for size in (17_000, 300_000):
            with pytest.raises(grpc.RpcError) as raised:
                await _live(channel, (("x-much", "y" * size),))
            assert grpc.StatusCode.RESOURCE_EXHAUSTED == raised.value.code()
        assert "SERVING" == await _live(channel)


async def test_a_connection_whose_other_end_has_vanished_is_closed(port: _Port) -> None:
    def vanish_after_a_while(peer: _Peer) -> bytes:
        peer.say_hello()
        for _ in range(4):  # it is not closed for being idle
            peer.answer_ping()
        return peer.next_frame(_GOAWAY)

    assert await _with_a_peer(port, vanish_after_a_while)


async def test_a_connection_that_never_says_what_it_wants_is_closed(port: _Port) -> None:
    def say_nothing(peer: _Peer) -> bytes:
        return peer.next_frame(_GOAWAY)

    assert await _with_a_peer(port, say_nothing)


async def test_no_other_server_can_listen_on_the_same_port(port: _Port) -> None:
    """gRPC would let it, and each of the two would get some of the calls."""
    with pytest.raises(RuntimeError, match="Failed to bind"):
        aio.server().add_insecure_port(f"127.0.0.1:{port.number}")


async def test_an_idle_client_keeps_its_connection(port: _Port) -> None:
    async with port.channel() as channel:
        assert "SERVING" == await _live(channel)
        changed = asyncio.ensure_future(
            channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        )
        done, _ = await asyncio.wait({changed}, timeout=_PATIENCE + 6 * _BEAT)
        changed.cancel()
        assert not done
        assert "SERVING" == await _live(channel)


class _Endless(JobObserverServicer):
    """A stream that goes on until its client has gone, and an answer that takes a while."""

    async def WatchJobs(  # noqa: N802 - the contract's name
        self, _request: WatchJobsRequest, _context: Any
    ) -> AsyncIterator[WatchJobsResponse]:
        while True:
            yield WatchJobsResponse(resume_token="x" * 100_000)

    async def GetJob(self, _request: GetJobRequest, _context: Any) -> Job:  # noqa: N802
        await asyncio.sleep(3 * _WORDS)
        return Job(name="done")


_WORDS = 0.2


async def test_a_client_that_does_not_read_its_stream_does_not_hold_up_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_LAST_WORDS", _WORDS)
    endless: Any = _Endless  # the types of the stubs want each of the methods
    service = GrpcService(
        DESCRIPTOR.services_by_name["JobObserver"],
        partial(add_JobObserverServicer_to_server, endless()),
    )
    metrics, number = new_metrics([], version="test", engine="none", mode="test"), free_port()
    running = GrpcServer("127.0.0.1", number, [service], metrics, launches=_LAUNCHES)
    await running.start()
    async with _Port(number).channel() as channel:
        stub: Any = JobObserverStub(channel)
        stream = stub.WatchJobs(WatchJobsRequest())
        await stream.read()
        answer = asyncio.ensure_future(stub.GetJob(GetJobRequest()))
        await eventually(lambda: running._observer.answering)
        async with asyncio.timeout(_LONG):
            await running.stop(grace=10 * _LONG)
        assert "done" == (await answer).name
        stream.cancel()
