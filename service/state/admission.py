"""The limits of launches: how many are admitted, and how many of them call the engine at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from observability.metrics import Metrics
from service.errors import LimitReached
from service.jobs.catalog import Catalog
from service.jobs.model import Job
from service.settings import Settings
from service.state.line import Line


class Admission:
    """Admits launches to a place, and those with a place to a slot with the engine."""

    def __init__(self, catalog: Catalog, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._admitted = self._under_way = 0
        self._line = Line("slot", catalog, metrics)
        metrics.launches_in_progress.labels("limit").set(settings.max_launches)

    @property
    def full(self) -> bool:
        """Whether `enter` would raise."""
        return self._admitted >= self._settings.max_launches

    def enter(self, *, displacing: bool = False) -> None:
        """Take a place; `leave` gives it back. Raises `LimitReached`.

        With `displacing`, the place is that of a launch that is about to leave.
        """
        if self.full and not displacing:
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

    @contextmanager
    def place_of_restart(self) -> Iterator[None]:
        """Likewise for a restart, which is never refused: its job is there already."""
        self._admitted += 1
        self._update_metrics()
        try:
            yield
        finally:
            self.leave()

    @property
    def free(self) -> bool:
        """Whether `acquire` would not wait. Nobody waits while there is a slot."""
        return self._under_way < self._settings.max_launches_under_way

    async def acquire(self, job: Job) -> None:
        """Wait for a slot; `release` gives it back."""
        if self.free:
            self._under_way += 1
            self._update_metrics()
            return
        self._line.enter(job)
        try:
            await self._line.wait(job.launch_id)
        except asyncio.CancelledError:
            if not self._line.leave(job.launch_id):  # it has just been called
                self.release()
            raise

    def release(self) -> None:
        """Give a slot to the next launch in the line, or back if there is none."""
        if not self._line.call_next():
            self._under_way -= 1
            self._update_metrics()

    def _update_metrics(self) -> None:
        self._metrics.launches_in_progress.labels("under_way").set(self._under_way)
        self._metrics.launches_in_progress.labels("waiting").set(self._admitted - self._under_way)
