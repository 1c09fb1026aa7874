"""News of an engine without an event stream: what one listing has that the last one did not have.

A poll is coarser than a stream. It tells what is new, and not how that came about: a workload that
started and ended between two listings has ended, and one that was removed as well is not mentioned.
It knows no exit code and no signal. And it did not see an exit happen: the engine may have been
away in between (`Event.witnessed`).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

from service.engine.base import Change, Event, Listing, Status, Workload


async def poll(
    list_workloads: Callable[[], Awaitable[Sequence[Workload]]],
    pause: Callable[[Sequence[Workload]], float],
) -> AsyncGenerator[Listing | Event, None]:
    """Follow an engine as `Engine.watch` does; it never ends, but raises what the listing raises.

    `pause` says, by the last listing, how long to wait before the next one (seconds).
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
    """What has happened between two listings, as far as they show it."""
    gone = {workload.id: workload for workload in before}
    for workload in after:
        for change in _steps(gone.pop(workload.id, None), workload):
            yield _event(workload, change)
    for workload in gone.values():
        yield _event(workload, Change.REMOVED)


def _readable(before: Sequence[Workload], after: Sequence[Workload]) -> Sequence[Workload]:
    """The second listing; what cannot be read in it is as it was before, or not there."""
    known = {workload.id: workload for workload in before}
    readable = (known.get(each.id) if each.status is Status.UNKNOWN else each for each in after)
    return [each for each in readable if each is not None]


def _steps(before: Workload | None, after: Workload) -> Iterator[Change]:
    was, now = before.status if before else None, after.status
    if before is None:
        yield Change.CREATED
    if now is Status.LIVE and was is not Status.LIVE:
        yield Change.STARTED
    if _has_ended_since(was, now):
        yield Change.EXITED
    if now is Status.LIVE and after.paused != _was_paused(before):
        yield Change.PAUSED if after.paused else Change.UNPAUSED


def _has_ended_since(was: Status | None, now: Status) -> bool:
    if now is Status.REMOVING:
        return was is Status.LIVE
    return now is Status.EXITED and was not in (Status.EXITED, Status.REMOVING)


def _was_paused(before: Workload | None) -> bool:
    """A workload that has started anew is not paused by what held it before."""
    return before is not None and before.status is Status.LIVE and before.paused


def _event(workload: Workload, change: Change) -> Event:
    return Event(id=workload.id, change=change, labels=workload.labels, witnessed=False)
