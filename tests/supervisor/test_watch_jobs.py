"""WatchJobs over gRPC, beside a registry that changes faster than any Engine lets it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import grpc
import pytest
from grpc import aio

from observability.callers import Caller
from service._generated.supervisor.v1.observer_pb2 import (
    GetJobRequest,
    WatchJobsRequest,
    WatchJobsResponse,
)
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub
from service.api.observer_service import ObserverService
from service.api.server import GrpcServer
from service.jobs.observations import StartFailed
from service.observe import turns
from service.state.changes import KEPT
from tests.supervisor.world import World, a_world
from tests.support.samples import a_job
from tests.support.supervised import free_port

_LIMIT = 4 * 2**20
# What is kept for a client that does not read (docs/observer.md), and what its side has taken.
_MOST_ON_THE_WAY = 2**18
# A client that takes as little as HTTP/2 lets it, and so is slow as soon as it does not read.
_TINY = [
    ("grpc.http2.lookahead_bytes", 1024),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.use_local_subchannel_pool", 1),
]


class Port:
    """A supervisor behind a port; its registry may be changed by hand."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self._number = number
        self._names = count()

    def change(self, changes: int) -> None:
        """A job comes and goes with each two changes."""
        for _ in range(changes // 2):
            name = f"j-{next(self._names)}"
            self.world.registry.add(a_job(name, identifier=name))
            self.world.registry.observe(name, StartFailed())

    def fill(self, jobs: int, **fields: Any) -> None:
        for number in range(jobs):
            fields |= {"launch_id": f"live-{number}"}
            self.world.registry.add(a_job(**({"identifier": f"live-{number}"} | fields)))

    @asynccontextmanager
    async def client(self, options: Any = None) -> AsyncIterator[Any]:
        async with aio.insecure_channel(f"127.0.0.1:{self._number}", options) as channel:
            yield JobObserverStub(channel)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Port]:
    monkeypatch.setattr(turns, "PAUSE", 0.001)
    async with a_world(real_time=True) as world:
        number = free_port()
        service = ObserverService(world.observer).as_service()
        server = GrpcServer("127.0.0.1", number, [service], world.metrics, launches=50)
        await server.start()
        yield Port(world, number)
        await server.stop(0)


async def _read(watch: Any) -> WatchJobsResponse:
    async with asyncio.timeout(30):
        message = await watch.read()
    assert isinstance(message, WatchJobsResponse)
    return message


async def _rest(watch: Any) -> Sequence[WatchJobsResponse]:
    """The messages up to the error that ends a watch."""
    messages = []
    with suppress(aio.AioRpcError):
        while True:
            messages.append(await _read(watch))
    return messages


async def _snapshot(watch: Any) -> Sequence[WatchJobsResponse]:
    messages = [await _read(watch)]
    while not messages[-1].complete:
        messages.append(await _read(watch))
    return messages


async def _changes(watch: Any, number: int) -> list[tuple[str, str]]:
    """So many changes, whatever the messages that they come in."""
    found: list[tuple[str, str]] = []
    while len(found) < number:
        message = await _read(watch)
        assert "changes" == message.kind
        found += [(job.launch_id, job.state) for job in message.jobs]
    return found


def _both(first: int, last: int) -> list[tuple[str, str]]:
    return [(f"j-{n}", state) for n in range(first, last) for state in ("starting", "gone")]


async def test_who_comes_back_within_ten_thousand_changes_gets_each_and_otherwise_a_gap(
    port: Port,
) -> None:
    async with port.client() as stub:
        token = (await _read(stub.WatchJobs(WatchJobsRequest()))).resume_token
        port.change(KEPT)
        again = stub.WatchJobs(WatchJobsRequest(resume_token=token))
        assert _both(0, KEPT // 2) == await _changes(again, KEPT)
        port.change(2)
        late = stub.WatchJobs(WatchJobsRequest(resume_token=token))
        assert ["gap", "snapshot"] == [(await _read(late)).kind for _ in range(2)]
        assert [*_both(KEPT // 2, KEPT // 2 + 1)] == await _changes(again, 2)


async def test_a_client_that_does_not_read_is_ended_and_disturbs_nobody(port: Port) -> None:
    async with port.client(_TINY) as tiny, port.client() as stub:
        slow, quick = tiny.WatchJobs(WatchJobsRequest()), stub.WatchJobs(WatchJobsRequest())
        await _read(slow)
        await _read(quick)
        for step in range(13):  # at once, they would be more than the journal keeps
            port.change(1000)
            assert _both(step * 500, step * 500 + 500) == await _changes(quick, 1000)
        messages = await _rest(slow)
        assert grpc.StatusCode.RESOURCE_EXHAUSTED is await slow.code()
        assert "the client reads too slowly" in await slow.details()
        told = [(job.launch_id, job.state) for message in messages for job in message.jobs]
        assert _both(0, 6500)[: len(told)] == told
        assert _MOST_ON_THE_WAY > sum(message.ByteSize() for message in messages)
        token = messages[-1].resume_token
        assert 1 == port.world.metric("supervisor_watches_too_slow_total")
        again = tiny.WatchJobs(WatchJobsRequest(resume_token=token))
        assert ["gap", "snapshot"] == [(await _read(again)).kind for _ in range(2)]
        port.change(2)
        assert _both(6500, 6501) == await _changes(again, 2) == await _changes(quick, 2)


async def test_a_snapshot_of_many_megabytes_comes_in_messages_that_a_client_takes(
    port: Port,
) -> None:
    port.fill(10_000, identifier="x" * 3000)
    async with port.client() as stub:
        messages = await _snapshot(stub.WatchJobs(WatchJobsRequest(), timeout=60))
    told = [job.launch_id for message in messages for job in message.jobs]
    assert [f"live-{number}" for number in range(10_000)] == told
    assert 7 * _LIMIT < sum(message.ByteSize() for message in messages)
    assert _LIMIT / 8 > max(message.ByteSize() for message in messages)


async def test_a_label_of_megabytes_is_cut_and_loses_no_job(port: Port) -> None:
    """Nobody can launch such a job; but somebody may have started a container with such labels."""
    huge = "\N{SNOWMAN}" * 2**21
    port.fill(20, name=huge, identifier=huge, launched_by=Caller(client=huge))
    async with port.client() as stub:
        messages = await _snapshot(stub.WatchJobs(WatchJobsRequest()))
        assert _LIMIT > max(message.ByteSize() for message in messages)
        jobs = [job for message in messages for job in message.jobs]
        assert [f"live-{number}" for number in range(20)] == [job.launch_id for job in jobs]
        assert {131_072} == {len(text) for job in jobs for text in (job.name, job.identifier)}
        assert jobs[7] == await stub.GetJob(GetJobRequest(launch_id="live-7"))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("resume_token", "yesterday", "resume_token: 'yesterday' is no token"),
        ("name", "x" * 1001, "name: has 1001 characters; at most 1000 are allowed"),
    ],
)
async def test_a_wrong_field_is_named(port: Port, field: str, value: str, says: str) -> None:
    async with port.client() as stub:
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.WatchJobs(WatchJobsRequest(**{field: value})).read()
    assert grpc.StatusCode.INVALID_ARGUMENT is refused.value.code()
    assert says in (refused.value.details() or "")


async def test_before_the_first_listing_there_is_nothing_to_tell(port: Port) -> None:
    port.world.readiness.listed = False
    async with port.client() as stub:
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.WatchJobs(WatchJobsRequest()).read()
    assert grpc.StatusCode.UNAVAILABLE is refused.value.code()


async def test_nothing_is_left_of_clients_that_have_gone(port: Port) -> None:
    async with port.client() as stub:
        watches = [stub.WatchJobs(WatchJobsRequest()) for _ in range(20)]
        for watch in watches:
            await _read(watch)
        assert 20 == port.world.metric("supervisor_watches_open")
    waiting = port.world.observer.watching._turns
    async with asyncio.timeout(10):
        while port.world.metric("supervisor_watches_open") or waiting._idle:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
