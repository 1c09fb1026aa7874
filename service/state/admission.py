"""The limits of launches: how many are admitted, and how many of them call the engine at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from observability.metrics import Metrics
from service.errors import LimitReached
from service.settings import Settings


class Admission:
    """Admits launches to a place, and those with a place to a slot with the engine."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._admitted = self._under_way = 0
        self._slots = asyncio.Semaphore(settings.max_launches_under_way)
        metrics.launches_in_progress.labels("limit").set(settings.max_launches)

    def check_running(self, running: int) -> None:
        """Raise `LimitReached` if so many jobs allow no further one."""
        most = self._settings.max_running_jobs
        if most is not None and running >= most:
            raise LimitReached(f"jobs: {running} run, and MAX_RUNNING_JOBS={most} allows no more")

    def enter(self) -> None:
        """Take a place; `leave` gives it back. Raises `LimitReached`."""
        if self._admitted >= self._settings.max_launches:
            raise LimitReached(
                f"launches: {self._under_way} are under way and {self._admitted - self._under_way}"
                f" wait, and MAX_LAUNCHES_WAITING={self._settings.max_launches_waiting} allows no"
                " more; try again in a moment"
            )
        self._admitted += 1
        self._update_metrics()

    def leave(self) -> None:
        """Give a place back."""
        self._admitted -= 1
        self._update_metrics()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place for the duration of the block. Raises `LimitReached`."""
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
        """Wait for a slot; `release` gives it back."""
        await self._slots.acquire()
        self._under_way += 1
        self._update_metrics()

    def release(self) -> None:
        """Give a slot back."""
        self._slots.release()
        self._under_way -= 1
        self._update_metrics()

    def _update_metrics(self) -> None:
        self._metrics.launches_in_progress.labels("under_way").set(self._under_way)
        self._metrics.launches_in_progress.labels("waiting").set(self._admitted - self._under_way)
