"""Work beside other work: what nobody waits for, and many things of one kind at once."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from observability.logs import get_logger
from service.errors import EngineError

log = get_logger(__name__)

T = TypeVar("T")


async def side_by_side(work: Callable[[T], Coroutine[Any, Any, None]], items: Iterable[T]) -> None:
    """Do the work on all items at once; the first failure ends it, and is raised.

    Their calls to the Engine take their turns there.
    """
    tasks = [asyncio.create_task(work(item)) for item in items]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Background:
    """Runs coroutines as tasks. What an Engine's absence ends, the next listing makes good."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[None]:
        """Run it, and log what goes wrong under its name."""
        task = asyncio.create_task(self._run(work, name), name=name)
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
