"""A list of very many jobs holds up nothing else, however it is asked for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service._generated.supervisor.v1.observer_pb2 import ListJobsRequest, ListJobsResponse
from service.api.observer_service import ObserverService
from tests.supervisor.test_many_jobs import Turns, without_garbage_collections
from tests.supervisor.world import World, a_world
from tests.support.samples import a_job
from tests.unit.api.test_jobs_service import Context

JOBS = 100_000
# Of CPU time (seconds): the longest that anything else waits for its turn.
LONGEST = 0.025


@pytest.fixture
async def crowded() -> AsyncIterator[World]:
    """A supervisor with all these jobs."""
    async with a_world(real_time=True) as world:
        for number in range(JOBS):
            world.registry.add(a_job(f"{number:016x}", identifier=f"timer-{number}"))
        yield world
        for number in range(JOBS):  # of which the Engine knows nothing
            del world.registry._jobs[f"{number:016x}"]


async def test_a_page_of_very_many_jobs_holds_up_nothing(crowded: World) -> None:
    service = ObserverService(crowded.observer)

    async def page(**fields: Any) -> ListJobsResponse:
        answer = await service.ListJobs(ListJobsRequest(**fields), Context())
        await asyncio.sleep(0.01)  # the turn of others
        return answer

    longest = []
    with without_garbage_collections():
        for _ in range(2):  # other programs empty the caches of a busy machine, and not each time
            turns = Turns()
            first = await page(page_size=1000)
            second = await page(page_size=1000, page_token=first.next_page_token)
            last = await page(identifier_prefix=f"timer-{JOBS - 1}")
            none = await page(name="*no such*", identifier_prefix="timer-", state="running")
            longest.append(turns.stop())
    assert (1000, 1000, 1, 0) == tuple(len(each.jobs) for each in (first, second, last, none))
    assert "timer-1000" == second.jobs[0].identifier
    assert min(longest) < LONGEST
