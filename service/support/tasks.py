"""Tasks: many of one kind at once, one for each key, and those that no request waits for."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Generic, TypeVar

from observability.logs import get_logger
from service.errors import EngineError

log = get_logger(__name__)

T = TypeVar("T")


async def run_concurrently(
    work: Callable[[T], Coroutine[Any, Any, None]],
    items: Iterable[T],
    *,
    at_once: int | None = None,
) -> None:
    """Do the work on all items at the same time, or on `at_once` of them at a time.

    The first failure cancels the rest, and is raised.
    """
    turns = asyncio.Semaphore(at_once) if at_once else None
    tasks = [asyncio.create_task(_in_turn(turns, work, item)) for item in items]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _in_turn(
    turns: asyncio.Semaphore | None, work: Callable[[T], Coroutine[Any, Any, None]], item: T
) -> None:
    if turns is None:
        await work(item)
        return
    async with turns:
        await work(item)


class SingleFlight(Generic[T]):
    """Tasks of one kind, at most one for each key. Later callers share the task under way."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        """How many tasks are under way."""
        return len(self._tasks)

    def get(self, key: str) -> "asyncio.Task[T] | None":
        """The task that is under way."""
        task = self._tasks.get(key)
        return None if task is None or task.done() else task

    def begin(self, key: str, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Start a task where none is under way. Nobody has to wait for it, even if it fails."""
        assert self.get(key) is None
        task = self._tasks[key] = asyncio.create_task(work, name=name)
        task.add_done_callback(partial(self._remove, key))
        return task

    def cancel(self, key: str) -> None:
        """Cancel the task under way, if there is one, and forget it at once."""
        if task := self._tasks.pop(key, None):
            task.cancel()

    def cancel_all(self) -> None:
        """Cancel the tasks, and forget them at once."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def finish(self) -> None:
        """Wait until no task is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    def _remove(self, key: str, task: "asyncio.Task[T]") -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            task.exception()  # retrieved, since all callers may have gone


class Background:
    """Runs coroutines as tasks, and logs their failures.

    Work that the engine's absence has ended is made up for by the next listing.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._once: SingleFlight[None] = SingleFlight()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[None]":
        """Run it. Failures are logged under this name."""
        return self._keep(asyncio.create_task(self._run(work, name), name=name))

    def spawn_once(
        self, work: Callable[[], Coroutine[Any, Any, Any]], name: str
    ) -> "asyncio.Task[None]":
        """Run it, unless work of that name is under way already; the task that runs."""
        if under_way := self.get(name):
            return under_way
        return self._keep(self._once.begin(name, self._run(work(), name), name))

    def get(self, name: str) -> "asyncio.Task[None] | None":
        """The task of that name that `spawn_once` has started and that is under way."""
        return self._once.get(name)

    def _keep(self, task: "asyncio.Task[None]") -> "asyncio.Task[None]":
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        try:
            await work
        except EngineError as error:
            log.warning("background.failed", work=name, error=error.message)
        except Exception:
            log.exception("background.crashed", work=name)
