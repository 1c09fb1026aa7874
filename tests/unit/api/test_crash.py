"""A crash of gRPC's own loop, by a call whose path is not UTF-8: a new server takes its place."""

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any, cast

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.area_types_pb2 import Response
from service.access.clients import JobScope
from service.api import server
from service.api.jobs_service import JobsService
from service.api.server import GrpcServer
from service.app.metric_labels import new_metrics
from service.lifecycle.use_cases import Supervisor
from service.state.readiness import Readiness
from tests.support.counted_calls import eventually
from tests.support.supervised import free_port

_LONG = 20.0
# Promised is a second: what is more is for a busy machine.
_SOON = 5.0


class _Slow:
    """A supervisor whose kills take as long as a test likes."""

    def __init__(self) -> None:
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    async def kill_all(self, _scope: JobScope) -> None:
        self.begun.set()
        await self.over.wait()


class _World:
    """A server, and what becomes of it."""

    def __init__(self, port: int) -> None:
        self.port = port
        metrics = new_metrics([], version="test", engine="none", mode="test")
        self.kill = _Slow()
        servicer = JobsService(cast("Supervisor", self.kill), Readiness("Docker Engine"), metrics)
        self.server = GrpcServer("127.0.0.1", port, [servicer.as_service()], metrics, launches=1)

    async def start(self) -> None:
        await self.server.start()
        self.serving = asyncio.create_task(self.server.run())

    def channel(self) -> aio.Channel:
        return aio.insecure_channel(f"127.0.0.1:{self.port}")

    async def is_alive(self) -> bool:
        async with self.channel() as channel:
            check = HealthStub(channel).Check  # type: ignore[attr-defined]
            answer = await check(HealthCheckRequest(service="liveness"), timeout=_LONG)
            return bool(answer.status == HealthCheckResponse.SERVING)


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as entries:
        yield entries


@pytest.fixture
async def world(caplog: pytest.LogCaptureFixture) -> AsyncIterator[_World]:
    made = _World(free_port())
    await made.start()
    yield made
    await made.server.stop(0)
    await asyncio.wait([made.serving], timeout=_LONG)
    # A server that nothing holds any more wants its loop: here, what was logged held it.
    caplog.get_records("call").clear()
    gc.collect()
    await asyncio.sleep(0.1)


def _events(logs: list[EventDict]) -> list[str]:
    return [entry["event"] for entry in logs]


async def _until(event: str, logs: list[EventDict]) -> None:
    async with asyncio.timeout(_LONG):
        while event not in _events(logs):  # noqa: ASYNC110 - a log tells nobody that it has grown
            await asyncio.sleep(0.02)


async def _crash(channel: aio.Channel) -> None:
    call: Any = channel.unary_unary(b"/\xff")  # type: ignore[arg-type]
    with pytest.raises(grpc.RpcError):
        await call(b"", timeout=_LONG)


async def test_there_is_a_server_again_though_a_watch_is_open(
    world: _World, logs: list[EventDict]
) -> None:
    async with world.channel() as channel:
        watch = HealthStub(channel).Watch  # type: ignore[attr-defined]
        open_one = watch(HealthCheckRequest(service="liveness"))
        assert HealthCheckResponse.SERVING == (await open_one.read()).status
        for _ in range(2):
            await _crash(channel)
            async with asyncio.timeout(_SOON):
                await _until("grpc.restarted", logs)
            assert ["grpc.crashed", "grpc.restarted"] == _events(logs)
            logs.clear()
            assert await world.is_alive()


@pytest.mark.parametrize("grace", [0.1, _LONG])
async def test_what_is_under_way_gets_its_answer_and_a_stop_waits_for_it(
    world: _World, logs: list[EventDict], grace: float
) -> None:
    """As long as it waits for what is under way on the new server, and no longer."""
    async with world.channel() as channel:
        call = AreaSupervisorServiceStub(channel).KillAllJobs(Empty(), timeout=2 * _LONG)
        await asyncio.wait_for(world.kill.begun.wait(), _LONG)
        await _crash(channel)
        await _until("grpc.restarted", logs)
        assert not call.done()
        stop = asyncio.create_task(world.server.stop(grace))
        if grace < _LONG:
            await asyncio.wait_for(stop, _SOON)
            assert grpc.StatusCode.OK is not await call.code()
        else:
            await asyncio.wait([stop], timeout=0.5)
            assert not stop.done()
            world.kill.over.set()
            assert Response() == await call
            await asyncio.wait_for(stop, _LONG / 2)


async def test_a_server_that_has_crashed_is_not_kept_for_ever(
    world: _World, logs: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_RETIREMENT", 0.1)
    async with world.channel() as channel:
        await _crash(channel)
    await _until("grpc.restarted", logs)
    await eventually(lambda: not world.server._retiring)


async def test_a_crash_while_it_stops_is_a_stop(world: _World, logs: list[EventDict]) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{world.port}") as channel:
        await asyncio.to_thread(grpc.channel_ready_future(channel).result, _LONG)
        crash: Any = channel.unary_unary(b"/\xff")  # type: ignore[arg-type]
        call = crash.future(b"", timeout=_LONG)
        time.sleep(0.5)  # noqa: ASYNC251 - the loop is to find both at once
        await asyncio.wait_for(world.server.stop(1), _LONG)
        await asyncio.wait_for(world.serving, _LONG)
        assert call.exception(_LONG)
    assert "grpc.restarted" not in _events(logs)


async def test_a_stop_after_a_crash_begins_nothing_anew(
    world: _World, logs: list[EventDict]
) -> None:
    async with world.channel() as channel:
        await _crash(channel)
        await _until("grpc.crashed", logs)
        await world.server.stop(0)
        await asyncio.wait_for(world.serving, _LONG)
    assert ["grpc.crashed"] == _events(logs)


@pytest.mark.parametrize("kept", [False, True])
async def test_another_program_may_have_the_port_for_a_while(
    world: _World, logs: list[EventDict], monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    monkeypatch.setattr(server, "_PORT_TIMEOUT", 1.0 if kept else _LONG)
    async with world.channel() as channel:
        await _crash(channel)
        with closing(await _taken(world.port)):
            await asyncio.wait([world.serving], timeout=_LONG if kept else 1.5)
        if kept:
            with pytest.raises(RuntimeError, match=f"GRPC_SERVER_PORT={world.port}: cannot be"):
                await world.serving
        else:
            await _until("grpc.restarted", logs)
            assert await world.is_alive()


async def _taken(port: int) -> socket.socket:
    async with asyncio.timeout(_LONG):
        while True:
            try:
                return socket.create_server(("127.0.0.1", port))
            except OSError:
                await asyncio.sleep(0.01)
