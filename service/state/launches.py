"""The launches under way, each with the requests that wait for it."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from service.errors import SharedFailure, SupervisorError
from service.jobs.model import Job
from service.state.admission import Admission
from service.support.tasks import SingleFlight

LaunchOutcome = Literal["launched", "dedup"]


@dataclass(slots=True)
class _Launch:
    wanted_by: int = 0  # requests that wait for it
    committed: bool = False
    revoked: bool = False


class Launches:
    """A launch outlives its clients once it is with the Engine; until then, it needs one."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._launches: dict[str, _Launch] = {}
        self._tasks: SingleFlight[LaunchOutcome] = SingleFlight()

    def begin(self, job: Job, work: Callable[[], Coroutine[Any, Any, LaunchOutcome]]) -> None:
        """Let a launch in, and start the work on it. Raises `LimitReached`."""
        self._admission.enter()
        self._launches[job.launch_id] = _Launch()
        task = self._tasks.begin(job.launch_id, work(), f"launch {job.launch_id}")
        task.add_done_callback(lambda _: self._end(job.launch_id))

    def commit(self, launch_id: str) -> None:
        """Its container is about to be asked for: stopped now, it would be half done."""
        self._launches[launch_id].committed = True

    def under_way(self, launch_id: str) -> bool:
        """Whether a launch has not ended yet."""
        return self._tasks.get(launch_id) is not None

    def revoked(self, launch_id: str) -> bool:
        """Whether a launch is being stopped, because nobody wants it any more."""
        launch = self._launches.get(launch_id)
        return launch is not None and launch.revoked

    async def share(self, launch_id: str) -> LaunchOutcome:
        """The outcome of a launch that accounts for itself, whether or not anybody waits for it.

        Raises `SharedFailure`. Behind a shield: a client that hangs up must leave neither an
        orphan nor a reservation.
        """
        launch, task = self._launches[launch_id], self._tasks.get(launch_id)
        assert task is not None
        launch.wanted_by += 1
        try:
            return await asyncio.shield(task)
        except SupervisorError as error:
            raise SharedFailure(error) from error
        finally:
            launch.wanted_by -= 1
            if not launch.wanted_by and not launch.committed and not task.done():
                launch.revoked = task.cancel()

    async def finish(self) -> None:
        """Wait for all of them, also those whose clients have gone."""
        await self._tasks.finish()

    def _end(self, launch_id: str) -> None:
        del self._launches[launch_id]
        self._admission.leave()
