"""What WatchJobs tells to clients of an access file, and what it does when the file changes."""

import asyncio
from typing import Any

from grpc import aio

from service._generated.supervisor.v1.observer_pb2 import WatchJobsRequest, WatchJobsResponse
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub
from service.access.access_file import clients_in
from tests.access.served import FILE, Served, bearer

# The observer of the file may only see timers.
_TIMERS = f'{FILE}jobs = ["timer*"]\n'


def _watch(door: Served, who: str, token: str = "") -> Any:
    stub: Any = JobObserverStub(door.channel)
    return stub.WatchJobs(WatchJobsRequest(resume_token=token), metadata=bearer(who), timeout=60)


async def _next(watch: Any) -> WatchJobsResponse:
    async with asyncio.timeout(10):
        message = await watch.read()
    assert message is not aio.EOF
    assert isinstance(message, WatchJobsResponse)
    return message


def _identifiers(message: WatchJobsResponse) -> set[str]:
    return {job.identifier for job in message.jobs}


async def test_a_client_hears_only_of_the_jobs_that_it_may_touch(door: Served) -> None:
    door.access.replace(clients_in(_TIMERS))
    await door.launch("timer", "t-1")
    await door.launch("mail", "m-1")
    watch, everything = _watch(door, "prometheus"), _watch(door, "night-shift")
    assert {"t-1"} == _identifiers(await _next(watch))
    assert {"t-1", "m-1"} == _identifiers(await _next(everything))
    await door.kill("m-1", "backend")
    await door.kill("t-1", "backend")
    assert {"t-1"} == _identifiers(await _next(watch))
    assert "m-1" in _identifiers(await _next(everything))


async def test_a_watch_ends_with_the_right_to_it(door: Served) -> None:
    watch, other = _watch(door, "prometheus"), _watch(door, "night-shift")
    await _next(watch)
    await _next(other)
    door.access.replace(clients_in(FILE.partition("[clients.prometheus]")[0]))
    assert "UNAUTHENTICATED" == (await watch.code()).name
    await door.launch("timer", "t-1")
    assert {"t-1"} == _identifiers(await _next(other))


async def test_a_client_whose_jobs_change_comes_back_and_is_told_of_a_gap(door: Served) -> None:
    await door.launch("mail", "m-1")
    watch, other = _watch(door, "prometheus"), _watch(door, "night-shift")
    token = (await _next(watch)).resume_token
    await _next(other)
    door.access.replace(clients_in(_TIMERS))
    assert "UNAVAILABLE" == (await watch.code()).name
    assert "the jobs that this client may touch have changed" in await watch.details()
    assert {} == door.failures()
    again = _watch(door, "prometheus", token)
    assert "gap" == (await _next(again)).kind
    assert set() == _identifiers(await _next(again))
    await door.kill("m-1", "backend")
    assert {"m-1"} == _identifiers(await _next(other))


async def test_what_an_open_watch_may_see_is_not_what_another_may(door: Served) -> None:
    """They share what is encoded, but for what one of them may not see."""
    door.access.replace(clients_in(_TIMERS))
    watches = [_watch(door, who) for who in ("prometheus", "night-shift")]
    for watch in watches:
        await _next(watch)
    await door.launch("mail", "m-1")
    assert {"m-1"} == _identifiers(await _next(watches[1]))
    await door.launch("timer", "t-1")
    told = [_identifiers(await _next(watch)) for watch in watches]
    assert {"t-1"} == told[0]
