"""What two listings tell of what has happened between them."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from service.engine.events import Event, Listing
from service.engine.polled_events import changes, poll
from service.engine.workloads import Health, Status, Workload
from service.errors import EngineUnavailable

CREATED, LIVE, EXITED = Status.CREATED, Status.LIVE, Status.EXITED
REMOVING, UNKNOWN = Status.REMOVING, Status.UNKNOWN


def a_workload(status: Status, workload_id: str = "a", *, paused: bool = False) -> Workload:
    labels = {"test": workload_id}
    return Workload(
        id=workload_id, name="a-1", status=status, labels=labels, created_at=0.0, paused=paused
    )


def told(before: Sequence[Workload], after: Sequence[Workload]) -> list[str]:
    return [event.change.value for event in changes(before, after)]


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (None, CREATED, ["created"]),
        (None, LIVE, ["created", "started"]),
        (None, EXITED, ["created", "exited"]),
        (None, REMOVING, ["created"]),
        (CREATED, CREATED, []),
        (CREATED, LIVE, ["started"]),
        (CREATED, EXITED, ["exited"]),
        (CREATED, REMOVING, []),
        (CREATED, None, ["removed"]),
        (LIVE, LIVE, []),
        (LIVE, EXITED, ["exited"]),
        (LIVE, REMOVING, ["exited"]),
        (LIVE, None, ["removed"]),
        (EXITED, EXITED, []),
        (EXITED, LIVE, ["started"]),
        (EXITED, REMOVING, []),
        (REMOVING, EXITED, []),  # it could not be removed
        (REMOVING, None, ["removed"]),
        (UNKNOWN, LIVE, ["started"]),
        (UNKNOWN, EXITED, ["exited"]),
    ],
)
def test_each_difference_between_two_listings_is_told_once(
    was: Status | None, now: Status | None, expected: list[str]
) -> None:
    before, after = ([a_workload(each)] if each else [] for each in (was, now))
    assert expected == told(before, after)


def test_a_pause_is_told_and_its_end() -> None:
    free, held = a_workload(LIVE), a_workload(LIVE, paused=True)
    assert (["paused"], ["unpaused"], []) == (
        told([free], [held]),
        told([held], [free]),
        told([held], [held]),
    )
    assert ["exited"] == told([held], [a_workload(EXITED)])
    assert ["started", "paused"] == told([a_workload(EXITED, paused=True)], [held])


def test_news_carry_the_labels_and_no_witness() -> None:
    events = list(changes([a_workload(LIVE, "a")], [a_workload(LIVE, "b")]))
    assert [("b", "created"), ("b", "started"), ("a", "removed")] == [
        (event.id, event.change) for event in events
    ]
    assert all({"test": event.id} == event.labels and not event.witnessed for event in events)
    assert {(None, None)} == {(event.exit_code, event.signal) for event in events}


async def test_what_cannot_be_read_is_as_it_was_before() -> None:
    listings = [
        [a_workload(LIVE, "a")],
        [a_workload(UNKNOWN, "a"), a_workload(UNKNOWN, "b")],
        [a_workload(EXITED, "a"), a_workload(LIVE, "b")],
    ]
    assert [("a", "exited"), ("b", "created"), ("b", "started")] == await _followed(listings)


async def test_a_listing_that_fails_ends_the_news() -> None:
    with pytest.raises(EngineUnavailable, match="gone"):
        await _followed([[a_workload(LIVE)]], EngineUnavailable("gone"))


async def test_the_pause_depends_on_the_last_listing() -> None:
    sizes: list[int] = []

    def pause(workloads: Sequence[Workload]) -> float:
        sizes.append(len(workloads))
        return 0.0

    listings = iter([[], [a_workload(LIVE)], [a_workload(LIVE), a_workload(LIVE, "b")]])

    async def list_workloads() -> Sequence[Workload]:
        try:
            return next(listings)
        except StopIteration:
            raise EngineUnavailable("gone") from None

    with pytest.raises(EngineUnavailable):
        async for _ in poll(list_workloads, pause):
            pass
    assert [0, 1, 2] == sizes


class _Over(Exception):
    pass


async def _followed(
    listings: Sequence[Sequence[Workload]], end: Exception | None = None
) -> list[tuple[str, str]]:
    """The events of some listings, up to the last one."""
    left = iter(listings)

    async def list_workloads() -> Sequence[Workload]:
        await asyncio.sleep(0)
        try:
            return next(left)
        except StopIteration:
            raise end or _Over from None

    heard: list[tuple[str, str]] = []
    try:
        async with aclosing(poll(list_workloads, lambda _: 0.0)) as news:
            async for item in news:
                if isinstance(item, Event):
                    heard.append((item.id, item.change.value))
                else:
                    assert Listing(listings[0]) == item
    except _Over:
        pass
    return heard


def test_a_change_of_health_is_told() -> None:
    starting, healthy, unhealthy = (
        replace(a_workload(LIVE), health=health)
        for health in (Health.STARTING, Health.HEALTHY, Health.UNHEALTHY)
    )
    assert [] == told([a_workload(LIVE)], [starting])
    assert ["healthy"] == told([starting], [healthy])
    assert [] == told([healthy], [healthy])
    assert ["unhealthy"] == told([healthy], [unhealthy])
    assert ["created", "started", "healthy"] == told([], [healthy])
    assert ["exited"] == told([healthy], [replace(unhealthy, status=EXITED)])
