"""What a launch waits for before it takes a slot: room, and the end of earlier jobs."""

import asyncio
from dataclasses import dataclass
from functools import partial

from observability.callers import caller
from observability.logs import get_logger
from observability.spans import wait_span
from service.errors import EngineTimeout, LimitReached
from service.jobs.model import Job, State
from service.settings import Settings
from service.state.pending_launches import Launches
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.state.rooms import Rooms

log = get_logger(__name__)

# How long a launch waits for the identifier's earlier workload to be gone (seconds), beside the
# grace of its stop.
_EXIT_SECONDS = 60.0


@dataclass(kw_only=True, eq=False)
class LaunchWaits:
    """Waits that occupy no slot."""

    registry: Registry
    readiness: Readiness
    launches: Launches
    rooms: Rooms
    settings: Settings

    async def wait_for_room(self, job: Job, full: str) -> None:
        """Wait until a launch may go on. `full` is the limit that was reached when it came.

        Raises `LimitReached` after a while, and `LaunchKilled`.
        """
        log.info(
            "launch.waiting", job=job.name, identifier=job.identifier, limit=full, **caller().fields
        )
        seconds = self.settings.wait_seconds
        wait = partial(self.rooms.wait, job.launch_id)
        try:
            with self.launches.endable(job.launch_id), wait_span("room"):
                async with asyncio.timeout(seconds):
                    await self.readiness.when_ready(wait)
        except TimeoutError:
            raise LimitReached(f"{full}; waited {seconds:g} s") from None

    async def wait_for_predecessors(self, job: Job) -> Job | None:
        """Wait until the identifier is free; the job that keeps it, if it runs on or again.

        Also jobs that were adopted meanwhile keep it, such as one that an earlier launch has found.
        The limit counts from the beginning, however many there are. Raises `EngineTimeout`.
        """
        began = asyncio.get_running_loop().time()
        while predecessor := self._predecessor(job):
            if runs_on := await self._wait_until_gone(predecessor, began):
                return runs_on
        return None

    def _predecessor(self, job: Job) -> Job | None:
        """The oldest job that a launch may not run beside."""
        number = self.registry.current(job).number
        others = self.registry.of(job.identifier) if job.grouped else ()
        before = (j for j in others if j.grouped and (j.number < number or j.adopted))
        return next(before, None)

    async def _wait_until_gone(self, predecessor: Job, began: float) -> Job | None:
        """Wait until a job is gone (None), runs on since its kill has failed, or runs again."""
        seconds = predecessor.grace(self.settings.job_stop_grace_seconds) + _EXIT_SECONDS
        wait = partial(self.registry.wait, predecessor.launch_id, _keeps_identifier)
        try:
            async with asyncio.timeout_at(began + seconds):
                with wait_span("earlier container", linked=predecessor.traceparent):
                    return await self.readiness.when_ready(wait)
        except TimeoutError:
            raise EngineTimeout("the identifier's earlier container is not gone yet") from None


def _keeps_identifier(job: Job) -> bool:
    return job.state is State.BACKING_OFF or (job.runs and not job.closing)
