"""How many launches there may be: what a burst has to wait for, and where a flood ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from observability.metrics import Metrics
from service.errors import LimitReached


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be at the same time; None is no bound.

    From four launches under way on, an Engine on two cores is no faster with more of them.
    """

    under_way: int = 8
    waiting: int = 1000
    running: int | None = None

    @property
    def inside(self) -> int:
        """Launches that there may be, under way or waiting."""
        return self.under_way + self.waiting


class Admission:
    """Lets launches in, and then a few at a time to the Engine."""

    def __init__(self, bounds: Bounds, metrics: Metrics) -> None:
        self._bounds = bounds
        self._metrics = metrics
        self._inside = self._under_way = 0
        self._slots = asyncio.Semaphore(bounds.under_way)
        metrics.launches_in_progress.labels("limit").set(bounds.inside)

    def check_running(self, running: int) -> None:
        """Raise `LimitReached` where one more job would be one too many."""
        most = self._bounds.running
        if most is not None and running >= most:
            raise LimitReached(f"jobs: {running} run, and MAX_RUNNING_JOBS={most} allows no more")

    def enter(self) -> None:
        """Take a place; raise `LimitReached` where there is none. `leave` gives it back."""
        if self._inside >= self._bounds.inside:
            raise LimitReached(
                f"launches: {self._under_way} are under way and {self._inside - self._under_way}"
                f" wait, and MAX_LAUNCHES_WAITING={self._bounds.waiting} allows no more;"
                " try again in a moment"
            )
        self._inside += 1
        self._tell()

    def leave(self) -> None:
        """Give a place back."""
        self._inside -= 1
        self._tell()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for as long as the block takes. Raises `LimitReached`."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    @property
    def free(self) -> bool:
        """Whether `acquire` would not wait."""
        return not self._slots.locked()

    async def acquire(self) -> None:
        """Wait for one's turn with the Engine; `release` ends it."""
        await self._slots.acquire()
        self._under_way += 1
        self._tell()

    def release(self) -> None:
        """Let the next one have its turn."""
        self._slots.release()
        self._under_way -= 1
        self._tell()

    def _tell(self) -> None:
        self._metrics.launches_in_progress.labels("under_way").set(self._under_way)
        self._metrics.launches_in_progress.labels("waiting").set(self._inside - self._under_way)
