"""Tasks that no request waits for, and many tasks of one kind side by side."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from observability.logs import get_logger
from service.errors import EngineError

log = get_logger(__name__)

T = TypeVar("T")


async def side_by_side(
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


class Background:
    """Runs coroutines as tasks. What an Engine's absence ends, the next listing makes good."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._by_name: dict[str, asyncio.Task[None]] = {}  # of those of which there is one at most

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[None]:
        """Run it, and log what goes wrong under its name."""
        task = asyncio.create_task(self._run(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def spawn_once(
        self, work: Callable[[], Coroutine[Any, Any, Any]], name: str
    ) -> asyncio.Task[None]:
        """Run it, unless work of that name is under way already; the task that runs."""
        under_way = self._by_name.get(name)
        if under_way is None or under_way.done():
            under_way = self._by_name[name] = self.spawn(work(), name)
            under_way.add_done_callback(self._forget)
        return under_way

    def _forget(self, task: asyncio.Task[None]) -> None:
        if self._by_name.get(task.get_name()) is task:
            del self._by_name[task.get_name()]

    async def _run(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        try:
            await work
        except EngineError as error:
            log.warning("background.failed", work=name, error=error.message)
        except Exception:
            log.exception("background.crashed", work=name)
