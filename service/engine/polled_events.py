"""Events for an engine without an event stream: the differences between two listings.

Swarm uses `changes` alone: what it polls, and how often, is in `engine/swarm/news`.

Polling is coarser than a stream. A workload that starts and exits between two listings is reported
as exited; one that is also removed is not reported at all. Exit codes and signals are not known.
Exits count as not witnessed: the engine may have been away in between (`Event.witnessed`).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

from service.engine.events import Change, Event, Listing
from service.engine.workloads import Health, Status, Workload

_HEALTH = {Health.HEALTHY: Change.HEALTHY, Health.UNHEALTHY: Change.UNHEALTHY}


async def poll(
    list_workloads: Callable[[], Awaitable[Sequence[Workload]]],
    pause: Callable[[Sequence[Workload]], float],
) -> AsyncGenerator[Listing | Event, None]:
    """Follow an engine as `Engine.watch` does, for ever. Errors of a listing are raised.

    `pause` gets the last listing, and returns how long to wait before the next one (seconds).
    """
    known = await list_workloads()
    yield Listing(known)
    while True:
        await asyncio.sleep(pause(known))
        listed = _readable(known, await list_workloads())
        for event in changes(known, listed):
            yield event
        known = listed


def changes(before: Sequence[Workload], after: Sequence[Workload]) -> Iterator[Event]:
    """The events that follow from the differences between two listings."""
    gone = {workload.id: workload for workload in before}
    for workload in after:
        known = gone.pop(workload.id, None)
        if known is not None and known.created_at != workload.created_at:
            known = None  # an engine may start a successor under the same id
        for change in _steps(known, workload):
            yield _event(workload, change)
    for workload in gone.values():
        yield _event(workload, Change.REMOVED)


def _readable(before: Sequence[Workload], after: Sequence[Workload]) -> Sequence[Workload]:
    """The second listing. Its unreadable workloads are taken from the first, or left out."""
    known = {workload.id: workload for workload in before}
    readable = (known.get(each.id) if each.status is Status.UNKNOWN else each for each in after)
    return [each for each in readable if each is not None]


def _steps(before: Workload | None, after: Workload) -> Iterator[Change]:
    was, now = before.status if before else None, after.status
    if before is None:
        yield Change.CREATED
    if now is Status.LIVE and was is not Status.LIVE:
        yield Change.STARTED
    if after.stopping and not (before and before.stopping):
        yield Change.STOPPING
    if _has_ended_since(was, now):
        yield Change.EXITED
    if now is Status.LIVE and after.paused != _was_paused(before):
        yield Change.PAUSED if after.paused else Change.UNPAUSED
    if now is Status.LIVE and (change := _HEALTH.get(after.health)) and not _was_so(before, after):
        yield change


def _has_ended_since(was: Status | None, now: Status) -> bool:
    if now is Status.REMOVING:
        return was is Status.LIVE
    return now is Status.EXITED and was not in (Status.EXITED, Status.REMOVING)


def _was_paused(before: Workload | None) -> bool:
    """Whether it was paused, unless it has exited since."""
    return before is not None and before.status is Status.LIVE and before.paused


def _was_so(before: Workload | None, after: Workload) -> bool:
    """Whether its health has not changed."""
    return before is not None and before.health is after.health


def _event(workload: Workload, change: Change) -> Event:
    return Event(id=workload.id, change=change, labels=workload.labels, witnessed=False)
