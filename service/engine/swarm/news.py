"""Makes events of a Swarm from the differences between listings, and decides how often to list.

Unlike other engines that are polled, Swarm keeps the exit code of a task, which the task's node has
seen. The pause between two listings depends on how long they take.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from signal import SIGTERM

from service.engine.events import Change, Event, Listing
from service.engine.polled_events import changes
from service.engine.swarm.answers import Task
from service.engine.swarm.listing import Poll
from service.engine.swarm.tasks import exit_code, is_ending
from service.engine.workloads import Workload

# Between two listings (seconds): short enough to notice an end within 2 s up to 1,000 jobs, and
# so long that our part and the comparisons together take about a tenth of a core, and the manager's
# part a third of one, up to the longest pause.
_SHORTEST, _LONGEST = 0.5, 4.0
_OWN_SHARE, _MANAGERS_SHARE = 0.05, 1 / 3


async def follow(
    first: Sequence[Workload],
    poll: Callable[[Sequence[Workload]], Awaitable[Poll]],
    pause: Callable[[float], Awaitable[None]],
    launched: Callable[[], Sequence[Workload]] = tuple,
) -> AsyncGenerator[Listing | Event, None]:
    """As `Engine.watch`; it never ends, but raises the errors of a poll.

    `launched` returns the workloads that this supervisor has started since the last call. If one of
    these is removed by another supervisor before it was ever listed, that is an event as well.
    """
    before = first
    yield Listing(before)
    while True:
        new = launched()
        polled = await poll([*before, *new])
        there = {each.id for each in (*before, *polled.workloads)}
        gone = [each for each in new if each.id not in there]
        for event in changes([*before, *gone], polled.workloads):
            for each in _with_task_state(event, polled):
                yield each
        before = polled.workloads
        await pause(_pause(polled))


def _pause(polled: Poll) -> float:
    ours = polled.cpu * (1 / _OWN_SHARE - 1)
    managers = polled.elapsed * (1 / _MANAGERS_SHARE - 1)
    return min(max(_SHORTEST, ours, managers), _LONGEST)


def _with_task_state(event: Event, polled: Poll) -> Iterator[Event]:
    if event.id in polled.torn and event.change is Change.REMOVED:
        yield replace(event, ran=True)
        return
    task = polled.tasks.get(event.id)
    if event.change is not Change.EXITED or task is None:
        yield event
        return
    if _was_shut_down(task):
        yield _changed(event, Change.SIGNALLED, signal=SIGTERM)
    code = exit_code(task)
    known = code is not None and task.NodeID not in polled.nodes.lost
    yield _changed(event, Change.EXITED, code=code, witnessed=known)


def _was_shut_down(task: Task) -> bool:
    """Whether Swarm has ended it: for us, for somebody else, or because its node is drained.

    One that has ended by itself is `failed` or `complete`, even if Swarm wants it to end by now.
    """
    return is_ending(task) and task.state.name == "SHUTDOWN"


def _changed(
    event: Event,
    change: Change,
    *,
    code: int | None = None,
    signal: int | None = None,
    witnessed: bool = True,
) -> Event:
    return Event(
        id=event.id,
        change=change,
        labels=event.labels,
        exit_code=code,
        signal=signal,
        witnessed=witnessed,
    )
