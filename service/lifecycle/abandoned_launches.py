"""Launches and restarts that were given up, and the removal of what they started all the same."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from itertools import chain
from typing import Any

from observability.callers import caller
from observability.logs import get_logger
from service.engine.base import Engine
from service.engine.workloads import Workload
from service.errors import EngineError
from service.jobs.labels import LAUNCH_LABEL, job_fields, launch_id_in, restarts_in
from service.lifecycle.removal import Removal, Remover
from service.state.registry import Registry
from service.support.retry import retry
from service.support.tasks import Background

log = get_logger(__name__)

# Far more than an outage can cause.
_MOST_REMEMBERED = 10_000


class AbandonedLaunches:
    """Remembers the launch ids that were given up, and removes workloads that have one."""

    def __init__(
        self, engine: Engine, remover: Remover, registry: Registry, background: Background
    ) -> None:
        self._engine = engine
        self._remover = remover
        self._registry = registry
        self._background = background
        self._launch_ids: dict[str, None] = {}  # the first one first
        self._removals: dict[str, set[asyncio.Task[None]]] = {}  # by launch id

    def __contains__(self, launch_id: str) -> bool:
        """Whether a launch was given up."""
        return launch_id in self._launch_ids

    def add(self, labels: Mapping[str, str], container_name: str) -> None:
        """Give a launch up, and remove its workload if it exists by now.

        If the engine creates it later, the watcher gets an event.
        """
        launch_id = labels[LAUNCH_LABEL]
        self._launch_ids[launch_id] = None
        if len(self._launch_ids) > _MOST_REMEMBERED:
            del self._launch_ids[next(iter(self._launch_ids))]
        log.warning(
            "launch.abandoned",
            launch_id=launch_id,
            container_name=container_name,
            **job_fields(labels),
            **caller().fields,
        )
        self._spawn(launch_id, lambda: self._remove_all(launch_id), f"abandon {launch_id}")

    def remove(self, workload_id: str, labels: Mapping[str, str]) -> None:
        """Remove a workload of such a launch, even if it runs, in the background."""
        remove = partial(self._remove, workload_id, labels)
        self._spawn(launch_id_in(labels), remove, _task_name(workload_id))

    def remove_others(self, workload_id: str, launch_id: str) -> None:
        """Remove what failed tries of a launch have left beside its workload.

        All tries use one name, so that is only what a third party has renamed meanwhile.
        """
        if self._engine.capabilities.set_aside is None:  # nothing can be renamed
            return
        remove = partial(self._remove_others, workload_id, launch_id)
        self._spawn(launch_id, remove, f"tries {launch_id}")

    def removes(self, workload_id: str) -> bool:
        """Whether a removal of this workload is under way."""
        return self._background.get(_task_name(workload_id)) is not None

    async def wait(self, launch_id: str) -> None:
        """Wait for the removals under way of one launch."""
        while removals := self._removals.get(launch_id):
            await asyncio.wait(removals)

    async def finish(self) -> None:
        """Wait for the removals under way: a later start with `adopt` would adopt what is left."""
        while self._removals:
            await asyncio.wait(chain.from_iterable(self._removals.values()))

    def _spawn(
        self, launch_id: str, work: Callable[[], Coroutine[Any, Any, None]], name: str
    ) -> None:
        task = self._background.spawn_once(work, name)
        self._removals.setdefault(launch_id, set()).add(task)
        task.add_done_callback(partial(self._forget, launch_id))

    def _forget(self, launch_id: str, removal: asyncio.Task[None]) -> None:
        removals = self._removals.get(launch_id, set())
        removals.discard(removal)
        if not removals:
            self._removals.pop(launch_id, None)

    async def _remove_all(self, launch_id: str) -> None:
        for workload in await self._engine.find({LAUNCH_LABEL: launch_id}):
            self.remove(workload.id, workload.labels)

    async def _remove_others(self, workload_id: str, launch_id: str) -> None:
        for each in await retry(lambda: self._engine.find({LAUNCH_LABEL: launch_id})):
            if each.id != workload_id and not self._may_be_its_job(launch_id, each):
                self.remove(each.id, each.labels)

    def _may_be_its_job(self, launch_id: str, workload: Workload) -> bool:
        """Whether it has taken the place of the launch's workload, or is about to do so."""
        job = self._registry.get(launch_id)
        adopted = job is not None and workload.id in (job.workload_id, job.predecessor)
        successor = restarts_in(workload.labels).total > 0
        return adopted or successor or launch_id_in(workload.labels) != launch_id

    async def _remove(self, workload_id: str, labels: Mapping[str, str]) -> None:
        try:
            if await self._remover.remove(workload_id, force=True) is Removal.REMOVED:
                log.info("container.discarded", container_id=workload_id, **job_fields(labels))
        except EngineError as error:
            log.warning(
                "container.left_behind",
                container_id=workload_id,
                error=error.message,
                **job_fields(labels),
            )


def _task_name(workload_id: str) -> str:
    return f"discard {workload_id}"
