"""A second service, which streams, beside the supervisor's own: registered in the same way."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue
from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from opentelemetry.instrumentation.grpc import aio_server_interceptor

from service.api import server
from service.api.jobs_service import SERVICE, JobsService
from service.api.observer_service import ObserverService
from service.api.server import GrpcServer
from service.api.services import Closing, GrpcService
from service.app.metric_labels import new_metrics
from service.lifecycle.use_cases import Supervisor
from service.observe.observer import Observer
from service.state.readiness import Readiness
from tests.support.counted_calls import ended, eventually, started
from tests.support.recorded_spans import Recorded
from tests.support.reflection import ReflectingClient
from tests.support.supervised import free_port

NEWS = "tests.News"
_LONG = 30.0
# What a stop takes that has nothing to wait for, on a busy machine.
_PROMPT = 10.0


def _descriptor() -> Any:
    """Of a service `tests.News` with a method that streams: as generated code would add it."""
    file = FileDescriptorProto(
        name="tests/news.proto",
        package="tests",
        dependency=["google/protobuf/empty.proto", "google/protobuf/wrappers.proto"],
        syntax="proto3",
    )
    follow = file.service.add(name="News").method.add(name="Follow", server_streaming=True)
    follow.input_type, follow.output_type = ".google.protobuf.Empty", ".google.protobuf.StringValue"
    pool = descriptor_pool.Default()
    pool.Add(file)
    return pool.FindServiceByName(NEWS)


_DESCRIPTOR = _descriptor()


class News:
    """Streams a greeting, what is published until the server closes, and a good-bye."""

    def __init__(self, *, heeds: bool = True) -> None:
        self.published: asyncio.Queue[str] = asyncio.Queue()
        self._heeds = heeds
        self._closing = Closing()

    def as_service(self) -> GrpcService:
        return GrpcService(_DESCRIPTOR, partial(_add, self), close=self._closing.close)

    async def follow(self, _request: Empty, _context: Any) -> AsyncIterator[StringValue]:
        yield StringValue(value="hello")
        items = self._items()
        async for item in self._closing.until_closed(items) if self._heeds else items:
            yield StringValue(value=item)
        yield StringValue(value="good-bye")

    async def _items(self) -> AsyncIterator[str]:
        while True:
            yield await self.published.get()


def _add(news: News, to: Any) -> None:
    """What generated code has for it."""
    handler = grpc.unary_stream_rpc_method_handler(
        news.follow,
        request_deserializer=Empty.FromString,
        response_serializer=StringValue.SerializeToString,
    )
    to.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NEWS, {"Follow": handler}),))
    to.add_registered_method_handlers(NEWS, {"Follow": handler})


class World:
    """A server with both services."""

    def __init__(self, news: News) -> None:
        self.news, self.port = news, free_port()
        self.metrics = new_metrics([], version="test", engine="none", mode="test")
        servicer = JobsService(cast("Supervisor", None), Readiness("Docker Engine"), self.metrics)
        services = [servicer.as_service(), news.as_service()]
        self.server = GrpcServer("127.0.0.1", self.port, services, self.metrics, launches=1)

    def channel(self) -> aio.Channel:
        return aio.insecure_channel(f"127.0.0.1:{self.port}")

    async def stop(self, grace: float) -> float:
        """Stop; how long that takes."""
        began = time.monotonic()
        await asyncio.wait_for(self.server.stop(grace), _LONG)
        return time.monotonic() - began


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    made = Recorded()
    tracing = partial(aio_server_interceptor, made.provider)
    monkeypatch.setattr(server, "aio_server_interceptor", tracing)
    return made


@pytest.fixture
async def world(recorded: Recorded) -> AsyncIterator[World]:
    del recorded
    made = World(News())
    await made.server.start()
    yield made
    await made.server.stop(0)


def _follow(channel: aio.Channel) -> Any:
    method: Any = channel.unary_stream(
        f"/{NEWS}/Follow",
        request_serializer=Empty.SerializeToString,
        response_deserializer=StringValue.FromString,
    )
    return method(Empty(), timeout=_LONG)


async def _next(call: Any) -> str:
    return str((await call.read()).value)


async def _rest(call: Any) -> list[str]:
    told = []
    while (response := await call.read()) is not aio.EOF:
        told.append(response.value)
    return told


async def test_reflection_describes_it(world: World) -> None:
    def reflected() -> tuple[list[str], list[str]]:
        with grpc.insecure_channel(f"127.0.0.1:{world.port}") as channel:
            client = ReflectingClient(channel)
            return client.services(), client.methods(NEWS)

    services, methods = await asyncio.to_thread(reflected)
    assert {SERVICE, NEWS, "grpc.health.v1.Health"} <= set(services)
    assert ["Follow(google.protobuf.Empty) returns google.protobuf.StringValue"] == methods


async def test_health_has_it_and_it_follows_readiness(world: World) -> None:
    async with world.channel() as channel:
        check = HealthStub(channel).Check  # type: ignore[attr-defined]
        for ready in (True, False):
            world.server.health.set_ready(ready)
            status = HealthCheckResponse.SERVING if ready else HealthCheckResponse.NOT_SERVING
            for name in (SERVICE, NEWS):
                answer = await check(HealthCheckRequest(service=name), timeout=_LONG)
                assert status == answer.status


async def test_its_calls_are_counted_timed_and_traced(world: World, recorded: Recorded) -> None:
    assert 0 == started(world.metrics, f"{NEWS}/Follow")  # there before the first call
    async with world.channel() as channel:
        call = _follow(channel)
        assert "hello" == await _next(call)
        call.cancel()
        await eventually(lambda: ended(world.metrics))
    assert 1 == started(world.metrics, f"{NEWS}/Follow")
    assert {(f"{NEWS}/Follow", "CANCELLED"): 1} == ended(world.metrics)
    await eventually(lambda: recorded.spans)
    assert [f"/{NEWS}/Follow"] == [span.name for span in recorded.spans]


async def test_a_stop_tells_its_open_streams_which_end_with_a_last_word(world: World) -> None:
    async with world.channel() as channel:
        calls = [_follow(channel) for _ in range(3)]
        assert ["hello"] * 3 == [await _next(call) for call in calls]
        world.news.published.put_nowait("1")
        await eventually(world.news.published.empty)
        rest = asyncio.gather(*map(_rest, calls))
        assert await world.stop(_LONG) < _PROMPT
        assert [["1", "good-bye"], ["good-bye"], ["good-bye"]] == sorted(await rest)
        assert [grpc.StatusCode.OK] * 3 == [await call.code() for call in calls]
    await eventually(lambda: {(f"{NEWS}/Follow", "OK"): 3} == ended(world.metrics))


async def test_a_stream_that_is_opened_as_the_server_closes_ends_as_well(world: World) -> None:
    async with world.channel() as channel:
        for each in world.server._services:
            each.close()
        assert ["hello", "good-bye"] == await _rest(_follow(channel))


async def test_what_was_ready_to_be_sent_at_the_close_is_sent(world: World) -> None:
    items = world.news._closing.until_closed(_three())
    assert "1" == await anext(items)
    upcoming = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    world.news._closing.close()
    assert "2" == await upcoming
    assert [] == [item async for item in items]


async def _three() -> AsyncIterator[str]:
    for item in "123":
        yield item


async def test_a_stream_that_is_given_up_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    items = Closing().until_closed(News()._items())
    upcoming = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0.01)  # it waits for an item, and for the close
    upcoming.cancel()
    await asyncio.wait({upcoming})
    await eventually(lambda: asyncio.all_tasks() <= before)


async def test_a_stream_that_does_not_end_is_cut_off_after_the_grace() -> None:
    world = World(News(heeds=False))
    await world.server.start()
    async with world.channel() as channel:
        call = _follow(channel)
        assert "hello" == await _next(call)
        assert await world.stop(0.5) < _PROMPT
        assert await call.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_a_client_that_keeps_asking_for_descriptions_holds_up_no_stop(
    world: World, version: str
) -> None:
    """Its stream stays open between its questions."""
    async with world.channel() as channel:
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        call: Any = channel.stream_stream(path)()
        await call.write(b"\x3a\x00")  # list_services
        assert await call.read()
        assert await world.stop(_LONG) < _PROMPT
        assert grpc.StatusCode.OK is await call.code()


async def test_only_what_backends_and_probes_call_has_queues_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of them costs every call some microseconds."""
    queues: list[str] = []

    def note(_: aio.Server, service: str, handlers: dict[str, Any]) -> None:
        queues.extend(f"{service}/{name}" for name in handlers)

    monkeypatch.setattr(type(aio.server()), "add_registered_method_handlers", note)
    metrics = new_metrics([], version="test", engine="none", mode="test")
    jobs = JobsService(cast("Supervisor", None), Readiness("an Engine"), metrics)
    observer = ObserverService(cast("Observer", SimpleNamespace(close=lambda: None)))
    services = [jobs.as_service(), observer.as_service()]
    GrpcServer("127.0.0.1", free_port(), services, metrics, launches=1)
    assert {SERVICE, "grpc.health.v1.Health"} == {each.partition("/")[0] for each in queues}
