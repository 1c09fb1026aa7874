"""Removes exited workloads that development keeps, past a number or an age: the oldest first."""

import time
from collections.abc import Iterator, Sequence
from typing import Literal

from observability.logs import get_logger
from observability.metrics import Metrics
from service.engine.base import Engine
from service.engine.workloads import Status, Workload
from service.errors import EngineRefused, EngineTimeout, NoSuchWorkload
from service.jobs.labels import launch_id_in
from service.lifecycle.removal import Removal, Remover
from service.reconcile.janitor import Plan, fields_of
from service.settings import Settings
from service.state.registry import Registry
from service.support.tasks import run_concurrently

log = get_logger(__name__)

RetentionLimit = Literal["count", "hours"]
"""The limit that a workload has exceeded: a label of metrics."""

# How many are inspected or removed at once: exits and kills need threads, too (`BULK_THREADS`).
_AT_ONCE = 4


class Retention:
    """Removes what is kept for too long. The age of a workload counts from its exit.

    A listing does not have that time, so workloads are inspected, once each, and only if it
    matters.
    """

    def __init__(
        self,
        engine: Engine,
        remover: Remover,
        registry: Registry,
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        self._engine = engine
        self._remover = remover
        self._registry = registry
        self._metrics = metrics
        self._keeps = not settings.production
        self._most = settings.retain_exited_count
        self._longest = settings.retain_exited_hours * 3600
        self._ended: dict[str, float] = {}  # by workload id; seconds since the epoch
        self._plans: dict[str, Plan] = {}  # likewise, of removals that were tried

    async def trim(self, unknown: Sequence[Workload]) -> None:
        """Remove those of the unknown workloads that are past a limit, a few at a time.

        Never by force: if one is live by now, the engine refuses. Raises EngineUnavailable.
        """
        if not self._keeps:
            return
        kept = [each for each in unknown if each.status is Status.EXITED and not each.aside]
        ids = {each.id for each in kept}
        self._ended = {each: at for each, at in self._ended.items() if each in ids}
        self._plans = {each: plan for each, plan in self._plans.items() if each in ids}
        await run_concurrently(self._learn_end, self._doubtful(kept), at_once=_AT_ONCE)
        due = [each for each in self._past_limits(kept) if self._is_due(each[0])]
        await run_concurrently(self._remove, due, at_once=_AT_ONCE)

    def _doubtful(self, kept: Sequence[Workload]) -> Sequence[Workload]:
        """The workloads whose time of exit is not known yet, and may exceed a limit."""
        too_many = len(kept) > self._most
        return [
            each
            for each in kept
            if each.id not in self._ended and (too_many or self._is_old(each.created_at))
        ]

    async def _learn_end(self, workload: Workload) -> None:
        if (ended := await self._ended_at(workload)) is not None:
            self._ended[workload.id] = ended

    async def _ended_at(self, workload: Workload) -> float | None:
        """When a workload has exited; None if it is live or gone, or cannot be inspected."""
        try:
            seen = await self._engine.inspect(workload.id)
        except (NoSuchWorkload, EngineRefused, EngineTimeout):
            return None
        if seen.status is not Status.EXITED:
            return None
        return workload.created_at if seen.ended_at is None else seen.ended_at

    def _past_limits(self, kept: Sequence[Workload]) -> Iterator[tuple[Workload, RetentionLimit]]:
        """The workloads that are past a limit, oldest first, and which one."""
        too_many = len(kept) - self._most
        known = (each for each in kept if each.id in self._ended)
        for number, each in enumerate(sorted(known, key=lambda each: self._ended[each.id])):
            if self._is_old(self._ended[each.id]):
                yield each, "hours"
            elif number < too_many:
                yield each, "count"

    def _is_old(self, since: float) -> bool:
        return time.time() - since >= self._longest

    def _is_due(self, workload: Workload) -> bool:
        plan = self._plans.get(workload.id)
        return plan is None or plan.due <= time.monotonic()

    async def _remove(self, item: tuple[Workload, RetentionLimit]) -> None:
        """Remove a workload, unless it was started again since its exit was looked up."""
        workload, limit = item
        ended = self._ended.pop(workload.id)
        if await self._ended_at(workload) != ended or self._is_a_jobs(workload):
            return
        plan = self._plans.setdefault(workload.id, Plan(time.monotonic()))
        plan.postpone(time.monotonic())
        try:
            removal = await self._remover.remove(workload.id)
        except (EngineRefused, EngineTimeout) as error:
            log.warning("retention.failed", **fields_of(workload), error=error.message)
            return
        if removal is Removal.REMOVED:
            self._metrics.retention_removed.labels(limit).inc()
            log.info("retention.removed", **fields_of(workload), limit=limit)

    def _is_a_jobs(self, workload: Workload) -> bool:
        """Whether it is the workload of a job by now, or about to be."""
        job = self._registry.get(launch_id_in(workload.labels))
        return job is not None and job.workload_id in (None, workload.id)
