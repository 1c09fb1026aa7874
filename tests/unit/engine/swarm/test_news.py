"""What is told of an end, and how often tasks are listed."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest

from service.engine.events import Change, Event, Listing
from service.engine.swarm.answers import Task
from service.engine.swarm.listing import Poll
from service.engine.swarm.news import follow
from service.engine.swarm.tasks import Nodes, workload
from service.engine.workloads import Workload
from tests.unit.engine.swarm.objects import a_task

_NODES = Nodes({"n1": "host-1"})


def _poll(*tasks: Task, nodes: Nodes = _NODES, cpu: float = 0.0, elapsed: float = 0.0) -> Poll:
    found = [workload(task, nodes) for task in tasks]
    return Poll(found, {task.ServiceID: task for task in tasks}, nodes, cpu, elapsed)


class _Swarm:
    """Answers polls one after the other, and keeps how long was waited after each."""

    def __init__(self, *polls: Poll) -> None:
        self._polls = list(polls)
        self.pauses: list[float] = []

    async def poll(self, before: Sequence[Workload]) -> Poll:
        del before
        return self._polls.pop(0)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def news(self, first: Sequence[Workload]) -> AsyncGenerator[Listing | Event, None]:
        return follow(first, self.poll, self.pause)


async def _told(after: Poll) -> list[Event]:
    """What is told after a running task has become what a poll shows."""
    swarm = _Swarm(after, _poll())
    heard: list[Event] = []
    async for item in swarm.news([workload(a_task(), _NODES)]):
        if isinstance(item, Event):
            if item.change is Change.REMOVED:
                break
            heard.append(item)
    return heard


@pytest.mark.parametrize(("state", "code"), [("failed", 3), ("complete", 0)])
async def test_an_end_is_told_with_its_exit_code_and_its_node_has_seen_it(
    state: str, code: int
) -> None:
    (event,) = await _told(_poll(a_task(state, "shutdown", code=code)))
    assert (Change.EXITED, code, True) == (event.change, event.exit_code, event.witnessed)
    assert None is event.signal


async def test_what_swarm_has_ended_was_sent_sigterm_before() -> None:
    signalled, exited = await _told(_poll(a_task("shutdown", "shutdown", code=143)))
    assert (Change.SIGNALLED, 15) == (signalled.change, signalled.signal)
    assert (Change.EXITED, 143, True) == (exited.change, exited.exit_code, exited.witnessed)


async def test_nobody_has_seen_the_end_of_what_is_lost() -> None:
    lost = Nodes({"n1": "host-1"}, frozenset({"n1"}))
    (event,) = await _told(_poll(a_task("running", "shutdown"), nodes=lost))
    assert (Change.EXITED, None, False) == (event.change, event.exit_code, event.witnessed)


@pytest.mark.parametrize(
    ("cpu", "elapsed", "pause"),
    [(0.0, 0.0, 0.5), (0.06, 0.06, 1.14), (0.05, 1.0, 2.0), (5.0, 5.0, 4.0)],
)
async def test_the_more_a_listing_takes_the_seldomer_it_is_asked_for(
    cpu: float, elapsed: float, pause: float
) -> None:
    swarm = _Swarm(_poll(a_task(), cpu=cpu, elapsed=elapsed), _poll())
    async for item in swarm.news([workload(a_task(), _NODES)]):
        if isinstance(item, Event):  # the removal in the second listing
            break
    assert [pytest.approx(pause)] == swarm.pauses


async def test_a_stop_by_a_supervisor_is_told_before_the_end() -> None:
    task = a_task("shutdown", "shutdown", code=143)
    after = replace(_poll(task), workloads=[workload(task, _NODES, stopping=True)])
    assert [Change.STOPPING, Change.SIGNALLED, Change.EXITED] == [
        event.change for event in await _told(after)
    ]


@pytest.mark.parametrize("torn", [True, False])
async def test_what_somebody_removes_while_it_runs_is_told_apart(torn: bool) -> None:
    gone = replace(_poll(), torn={"s1"} if torn else set())
    async for item in _Swarm(gone).news([workload(a_task(), _NODES)]):
        if isinstance(item, Event):
            assert (Change.REMOVED, torn) == (item.change, item.ran)
            break


async def test_what_was_just_launched_and_is_gone_is_told_although_it_was_never_listed() -> None:
    swarm = _Swarm(_poll())
    launched = [workload(a_task(), _NODES)]
    async for item in follow([], swarm.poll, swarm.pause, lambda: launched):
        if isinstance(item, Event):
            assert (Change.REMOVED, "s1") == (item.change, item.id)
            break


async def test_what_was_just_launched_and_is_there_has_begun() -> None:
    task = a_task()
    news = follow([], _Swarm(_poll(task)).poll, _Swarm().pause, lambda: [workload(task, _NODES)])
    heard: list[Change] = []
    async for item in news:
        if isinstance(item, Event):
            heard.append(item.change)
            if item.change is Change.STARTED:
                break
    assert [Change.CREATED, Change.STARTED] == heard
