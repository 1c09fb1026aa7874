"""Measures the usage of live jobs."""

import asyncio
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from service.access.clients import ALL_JOBS, JobScope
from service.engine.base import Engine
from service.engine.output import Usage
from service.jobs.model import Job
from service.state.registry import Registry
from service.support.loop_time import loop_time

# Two measurements give the use of processors. The shortest and the longest time between them
# (seconds): beyond that, the first one is too old to say something about this moment.
_LEAST_APART, _MOST_APART = 0.5, 15.0
# How long the measurement of all jobs may take (seconds).
_TIMEOUT = 8.0


class Unmeasured(StrEnum):
    """Why it is not known what a job uses."""

    OTHER_MACHINE = "other_machine"  # of a Swarm, whose manager can only measure its own
    NO_ANSWER = "no_answer"  # in time


class JobUsage(NamedTuple):
    """The usage of a job; `cpu` in processors."""

    job: Job
    cpu: float
    usage: Usage


class Measurement(NamedTuple):
    """All jobs that were asked for, and run."""

    jobs: Sequence[JobUsage]
    unmeasured: Sequence[tuple[Job, Unmeasured]]


class _Measured(NamedTuple):
    at: float  # by our clock
    usage: Usage | None  # None on a machine that cannot be asked


class JobStats:
    """Measures twice, or once if it has measured shortly before."""

    def __init__(self, engine: Engine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry
        self._last: Mapping[str, _Measured] = {}  # by workload

    async def of(
        self, launch_ids: Sequence[str] = (), *, scope: JobScope = ALL_JOBS
    ) -> Measurement:
        """The live jobs that run, or those of them with these ids. Raises the `EngineError`s."""
        jobs = {job.workload_id: job for job in self._wanted(launch_ids, scope) if job.workload_id}
        before = await self._measured_before(list(jobs))
        now = await self._measure([each for each in jobs if each in before])
        measured, unmeasured = [], []
        for each, job in jobs.items():
            if usage := _usage(job, before.get(each), now.get(each)):
                measured.append(usage)
            elif self._still_runs(job):
                unmeasured.append((job, _why_not(now.get(each))))
        return Measurement(measured, unmeasured)

    def _still_runs(self, job: Job) -> bool:
        now = self._registry.get(job.launch_id)
        return now is not None and now.runs

    def _wanted(self, launch_ids: Sequence[str], scope: JobScope) -> Sequence[Job]:
        if launch_ids:
            jobs = [job for each in dict.fromkeys(launch_ids) if (job := self._registry.get(each))]
        else:
            jobs = list(self._registry.jobs())
        return [job for job in jobs if job.runs and scope.allows(job.name)]

    async def _measured_before(self, workload_ids: Sequence[str]) -> Mapping[str, _Measured]:
        """An earlier measurement of each, which is old enough when this returns."""
        known = {each: self._last[each] for each in workload_ids if self._is_fresh(each)}
        known |= await self._measure([each for each in workload_ids if each not in known])
        if known:
            newest = max(measured.at for measured in known.values())
            await asyncio.sleep(max(0.0, newest + _LEAST_APART - loop_time()))
        return known

    def _is_fresh(self, workload_id: str) -> bool:
        last = self._last.get(workload_id)
        return last is not None and loop_time() - last.at <= _MOST_APART

    async def _measure(self, workload_ids: Sequence[str]) -> Mapping[str, _Measured]:
        if not workload_ids:
            return {}
        found = await self._engine.stats(workload_ids, timeout=_TIMEOUT)
        now = loop_time()
        measured = {each: _Measured(now, usage) for each, usage in found.items()}
        kept = {each: last for each, last in self._last.items() if now - last.at <= _MOST_APART}
        self._last = kept | measured
        return measured


def _usage(job: Job, before: _Measured | None, now: _Measured | None) -> JobUsage | None:
    """None if it was not measured twice."""
    first, last = (each.usage if each else None for each in (before, now))
    if first is None or last is None or last.at <= first.at:
        return None
    cpu = max(0.0, (last.cpu - first.cpu) / (last.at - first.at))
    return JobUsage(job, cpu, last)


def _why_not(measured: _Measured | None) -> Unmeasured:
    elsewhere = measured is not None and measured.usage is None
    return Unmeasured.OTHER_MACHINE if elsewhere else Unmeasured.NO_ANSWER
