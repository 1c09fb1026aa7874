import asyncio
from collections.abc import Sequence

import pytest

from observability.metrics import Metrics
from service.app.metric_labels import new_metrics
from service.jobs.catalog import Catalog
from service.jobs.catalog_keys import Entry
from service.jobs.model import Kind
from service.state.line import Line
from tests.support.samples import a_job

CATALOG = Catalog(
    {
        name: Entry(kind=Kind.ACTION, priority=priority)
        for name, priority in {"a": 0, "b": 0, "c": 0, "high": 100, "low": -100}.items()
    }
)


@pytest.fixture
def metrics() -> Metrics:
    return new_metrics(CATALOG, version="1", engine="docker", mode="production")


@pytest.fixture
async def line(metrics: Metrics) -> Line:
    return Line("room", CATALOG, metrics)


def enter(line: Line, *launch_ids: str) -> None:
    """The job name of `a-1` is `a`."""
    for launch_id in launch_ids:
        line.enter(a_job(launch_id, name=launch_id.partition("-")[0]))


async def called(line: Line, number: int) -> Sequence[str]:
    """The launches that are called, in order."""
    order: list[str] = []
    tasks = [asyncio.create_task(_wait(line, each, order)) for each in [*line._waiting]]
    for _ in range(number):
        await asyncio.sleep(0)
        assert line.call_next()
    for _ in range(3):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    return order


async def _wait(line: Line, launch_id: str, order: list[str]) -> None:
    await line.wait(launch_id)
    order.append(launch_id)


async def test_equal_ones_go_in_turn_by_job_name_and_each_job_in_its_order(line: Line) -> None:
    enter(line, "a-1", "a-2", "a-3", "b-1", "c-1", "b-2")
    assert ["a-1", "b-1", "c-1", "a-2", "b-2", "a-3"] == await called(line, 6)
    assert not line.call_next()


async def test_the_highest_priority_goes_first(line: Line) -> None:
    enter(line, "low-1", "a-1", "high-1", "b-1", "high-2", "gone-1")
    expected = ["high-1", "high-2", "a-1", "b-1", "gone-1", "low-1"]
    assert expected == await called(line, 6)


async def test_one_that_comes_later_waits_for_one_turn_of_each_other(line: Line) -> None:
    enter(line, "a-1", "a-2", "a-3")
    line.call_next()
    enter(line, "b-1")
    assert ["a-2", "b-1", "a-3"] == await called(line, 3)


async def test_a_priority_that_changes_counts_at_once(metrics: Metrics) -> None:
    catalog = Catalog(CATALOG)
    line = Line("slot", catalog, metrics)
    enter(line, "a-1", "b-1")
    catalog["b"] = Entry(kind=Kind.ACTION, priority=1)
    assert ["b-1", "a-1"] == await called(line, 2)


async def test_who_may_not_go_holds_up_nobody(line: Line) -> None:
    enter(line, "high-1", "a-1")
    assert line.call_next(lambda launch_id: launch_id != "high-1")
    assert ["high-1"] == [*line._waiting]
    assert not line.call_next(lambda _: False)


async def test_who_has_left_is_not_called(line: Line) -> None:
    enter(line, "a-1", "a-2")
    assert (True, False) == (line.leave("a-1"), line.leave("a-1"))
    assert ("a-2" in line, len(line), line.count("a")) == (True, 1, 1)
    assert ["a-2"] == await called(line, 1)
    assert (0, 0) == (len(line), line.count("a"))


async def test_one_whose_waiter_has_gone_can_still_be_called(line: Line) -> None:
    enter(line, "a-1")
    waiter = asyncio.create_task(line.wait("a-1"))
    await asyncio.sleep(0)
    waiter.cancel()
    assert line.call_next()
    assert not line.leave("a-1")  # so that the waiter learns that it has to pass it on


async def test_who_gives_way_is_the_last_of_those_that_are_most(line: Line) -> None:
    assert line.last_of_most("b") is None
    enter(line, "a-1", "a-2", "a-3", "b-1", "c-1")
    assert ("a-3", "a-3", None) == tuple(line.last_of_most(name) for name in ("b", "d", "a"))
    enter(line, "b-2")
    assert line.last_of_most("b") is None  # with one more it has as many


async def test_metrics_tell_how_many_wait_and_how_long(line: Line, metrics: Metrics) -> None:
    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"queue": "room"})

    assert 0 == value("supervisor_launches_waiting")
    enter(line, "a-1", "a-2")
    assert 2 == value("supervisor_launches_waiting")
    line.call_next()
    line.leave("a-2")
    assert 0 == value("supervisor_launches_waiting")
    assert 2 == value("supervisor_launch_wait_duration_seconds_count")
