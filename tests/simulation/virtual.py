"""An event loop in virtual time, on which the same seed gives the same run.

There are no sockets and no threads. When nothing is ready, the time jumps to the next timer. The
clocks and the random numbers of the code under test come from here as well.
"""

import asyncio
import gc
import random
import secrets
import time
from asyncio import base_events
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from itertools import count
from typing import Any, NoReturn, TypeVar, cast
from unittest.mock import patch

T = TypeVar("T")

_EPOCH = 1_700_000_000.0
_FIRST_MOMENT = 1_000.0

OWNER: ContextVar[Any] = ContextVar("owner", default=None)
"""The simulated process whose code runs; None for the Engine and for the simulation itself."""


class Deadlock(AssertionError):
    """Everything waits, and no timer will ever wake anything."""


class Task(asyncio.Task[Any]):
    """A task that knows its process, and whose place in a set does not depend on its address."""

    def __init__(self, number: int, owner: object, coro: Any, **more: Any) -> None:
        self.number = number
        self.owner = owner
        super().__init__(coro, **more)

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(base_events.BaseEventLoop):
    """An event loop whose time passes only while nothing is ready."""

    def __init__(self) -> None:
        super().__init__()
        self._now = _FIRST_MOMENT
        self._numbers = count()
        self._selector = self  # where the base class waits for sockets and for the next timer

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> list[NoReturn]:
        if timeout is None:
            raise Deadlock("everything waits, and no timer is left")
        self._now += timeout
        return []

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> Any:
        owner = OWNER.get() if context is None else context.get(OWNER)
        shown = None if name is None else str(name)
        return Task(next(self._numbers), owner, coro, loop=self, name=shown, context=context)

    def tasks_of(self, owner: object) -> list[Task]:
        """The unfinished tasks of a process, in the order in which they were made."""
        tasks = [each for each in asyncio.all_tasks(self) if isinstance(each, Task)]
        return sorted((t for t in tasks if t.owner is owner), key=lambda task: task.number)

    def _process_events(self, event_list: list[NoReturn]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a system call."""


def run(seed: str, main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, with clocks and random numbers of its own."""
    loop: VirtualLoop = cast("Any", VirtualLoop)()
    with asyncio.Runner(loop_factory=lambda: loop) as runner, _no_chance(loop, seed):
        return runner.run(main(loop))


@contextmanager
def _no_chance(loop: VirtualLoop, seed: str) -> Iterator[None]:
    """Replace the clocks, the random numbers and the garbage collector."""
    chance, before = random.Random(f"{seed}/ids"), random.getstate()
    clocks: dict[str, Any] = {
        "time": lambda: _EPOCH + loop.time(),
        "monotonic": loop.time,
        "perf_counter": loop.time,
    }
    random.seed(f"{seed}/jitter")
    gc.disable()
    try:
        with patch.multiple(time, **clocks), patch.object(secrets, "token_hex", _hex(chance)):
            yield
    finally:
        gc.enable()
        random.setstate(before)


def _hex(chance: random.Random) -> Callable[[int], str]:
    return lambda size: f"{chance.getrandbits(8 * size):0{2 * size}x}"
