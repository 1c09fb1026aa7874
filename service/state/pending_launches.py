"""The launches under way, each with the requests that wait for it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from service.errors import SharedFailure, SupervisorError
from service.jobs.model import Job
from service.state.admission import Admission
from service.support.tasks import SingleFlight

LaunchOutcome = Literal["launched", "dedup"]


@dataclass(slots=True)
class _UnderWay:
    waiting: int = 0  # requests
    committed: bool = False
    cancelled: bool = False
    endable: bool = False
    error: SupervisorError | None = None  # that `end` wants it to fail with


class Launches:
    """Runs a task for each launch.

    A launch that no request waits for any more is cancelled, unless its workload was asked for.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._under_way: dict[str, _UnderWay] = {}  # by launch id
        self._tasks: SingleFlight[LaunchOutcome] = SingleFlight()

    def begin(
        self,
        job: Job,
        work: Callable[[], Coroutine[Any, Any, LaunchOutcome]],
        *,
        displacing: bool = False,
    ) -> None:
        """Take a place, see `Admission.enter`, and start the task. Raises `LimitReached`."""
        self._admission.enter(displacing=displacing)
        self._under_way[job.launch_id] = _UnderWay()
        task = self._tasks.begin(job.launch_id, work(), f"launch {job.launch_id}")
        task.add_done_callback(lambda _: self._remove(job.launch_id))

    def end(self, launch_id: str, error: SupervisorError) -> None:
        """Have a launch fail in the `endable` block that it is in, or that it next comes to."""
        launch, task = self._under_way.get(launch_id), self._tasks.get(launch_id)
        if launch is None or task is None or launch.error:
            return
        launch.error = error
        if launch.endable:
            task.cancel()

    @contextmanager
    def endable(self, launch_id: str) -> Iterator[None]:
        """A part of a launch's task that `end` interrupts. Raises the error that it is given."""
        launch = self._under_way[launch_id]
        if launch.error:
            raise launch.error
        launch.endable = True
        try:
            yield
        except asyncio.CancelledError:
            if launch.error is None:
                raise
            raise launch.error from None
        finally:
            launch.endable = False

    def commit(self, launch_id: str) -> None:
        """The workload is about to be asked for: a cancellation would leave it half started."""
        self._under_way[launch_id].committed = True

    async def take_back(self, launch_id: str) -> None:
        """There is no workload after all. Raises `CancelledError` if no request waits any more."""
        launch, task = self._under_way[launch_id], self._tasks.get(launch_id)
        launch.committed = False
        _cancel_if_alone(launch, task)
        await asyncio.sleep(0)  # where a cancellation takes effect

    def under_way(self, launch_id: str) -> bool:
        """Whether a launch is under way."""
        return self._tasks.get(launch_id) is not None

    def is_cancelled(self, launch_id: str) -> bool:
        """Whether a launch is being cancelled, because no request waits for it any more."""
        launch = self._under_way.get(launch_id)
        return launch is not None and launch.cancelled

    async def share(self, launch_id: str) -> LaunchOutcome:
        """Wait for a launch; its outcome. Raises `SharedFailure`: the launch has reported it.

        The task is shielded: a client that hangs up must leave neither an orphan nor a
        reservation.
        """
        launch, task = self._under_way[launch_id], self._tasks.get(launch_id)
        assert task is not None
        launch.waiting += 1
        try:
            return await asyncio.shield(task)
        except SupervisorError as error:
            raise SharedFailure(error) from error
        finally:
            launch.waiting -= 1
            _cancel_if_alone(launch, task)

    async def finish(self) -> None:
        """Wait for all launches under way, also those whose clients have gone."""
        await self._tasks.finish()

    def _remove(self, launch_id: str) -> None:
        del self._under_way[launch_id]
        self._admission.leave()


def _cancel_if_alone(launch: _UnderWay, task: "asyncio.Task[LaunchOutcome] | None") -> None:
    if task is not None and not launch.waiting and not launch.committed and not task.done():
        launch.cancelled = task.cancel()
