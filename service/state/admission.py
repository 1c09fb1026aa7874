"""How many launches there may be: what a burst has to wait for, and where a flood ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from observability.metrics import Metrics
from service.errors import LimitReached
from service.settings import Settings


class Admission:
    """Lets launches in, and then a few at a time to the Engine."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._inside = self._under_way = 0
        self._slots = asyncio.Semaphore(settings.max_launches_under_way)
        metrics.launches_in_progress.labels("limit").set(settings.max_launches)

    def check_running(self, running: int) -> None:
        """Raise `LimitReached` where one more job would be one too many."""
        most = self._settings.max_running_jobs
        if most is not None and running >= most:
            raise LimitReached(f"jobs: {running} run, and MAX_RUNNING_JOBS={most} allows no more")

    def enter(self) -> None:
        """Take a place; raise `LimitReached` where there is none. `leave` gives it back."""
        if self._inside >= self._settings.max_launches:
            raise LimitReached(
                f"launches: {self._under_way} are under way and {self._inside - self._under_way}"
                f" wait, and MAX_LAUNCHES_WAITING={self._settings.max_launches_waiting} allows no"
                " more; try again in a moment"
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
