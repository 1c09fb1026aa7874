"""The use cases: launch, kill, kill all, list."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from observability.callers import caller
from observability.escaping import shown
from observability.label_values import UNKNOWN
from observability.logs import get_logger
from observability.metrics import Metrics
from observability.spans import annotate, trace_environment
from service.access.audit import audited
from service.access.clients import ALL_JOBS, JobScope
from service.engine.base import Engine
from service.errors import Denied, KillAllFailed, SharedFailure, SupervisorError, UnknownJob
from service.jobs.arguments import can_run, invocation_of
from service.jobs.catalog import Catalog
from service.jobs.credentials import reserved_parameters
from service.jobs.labels import IDENTIFIER_LABEL, INSTANCE_LABEL
from service.jobs.model import Job, JobSpec, Kind, State
from service.jobs.validation import check_spec
from service.jobs.workload import job_of, workload_of
from service.lifecycle.abandoned_launches import AbandonedLaunches
from service.lifecycle.adoption import Adoption
from service.lifecycle.killer import Killer
from service.lifecycle.launch_tasks import LaunchTasks
from service.reporting.request_reports import record_dedup, record_failure, record_launch_duration
from service.settings import Settings
from service.state.admission import Admission
from service.state.cordon import Cordon
from service.state.pending_launches import Launches, LaunchOutcome
from service.state.readiness import Readiness
from service.state.registry import Registry

log = get_logger(__name__)


@dataclass(kw_only=True, eq=False)
class Supervisor:
    """Carries out what a backend asks for."""

    registry: Registry
    catalog: Catalog
    readiness: Readiness
    engine: Engine
    launches: Launches
    launch_tasks: LaunchTasks
    adoption: Adoption
    abandoned: AbandonedLaunches
    killer: Killer
    admission: Admission
    cordon: Cordon
    metrics: Metrics
    settings: Settings

    async def launch(self, spec: JobSpec) -> None:
        """Run a job, or find that it runs; return when its workload has started.

        Raises `SupervisorError`: then nothing was launched, and nothing is left behind.
        """
        with audited(spec.name, spec.identifier) as audit:
            audit.outcome = await self._launch_and_record(spec) or "no_image"

    async def _launch_and_record(self, spec: JobSpec) -> LaunchOutcome | None:
        began = time.perf_counter()
        try:
            outcome = await self._launch(spec)
        except SupervisorError as error:
            if not isinstance(error, SharedFailure):  # which its launch has reported
                record_failure(
                    self.metrics, "launch", spec.name, spec.identifier, error, began=began
                )
            self._record_launch("failed", began)
            raise
        if outcome is not None:
            self._record_launch(outcome, began)
        return outcome

    def repeats(self, identifier: str, fingerprint: int) -> bool:
        """Whether a request is the one that has launched a running job: then it is a dedup.

        Such a request was checked before, and most requests are such: a backend that starts
        launches all its jobs.
        """
        began = time.perf_counter()
        job = self._joinable(identifier)
        if job is None or job.fingerprint != fingerprint or not job.steady:
            return False
        entry = self.catalog.get(job.name)
        if entry is None or entry.kind is not job.kind:  # the catalogue has changed since
            return False
        # In one call: each access to the span costs as much as an attribute.
        annotate(
            {
                "supervisor.job.name": job.name,
                "supervisor.job.identifier": identifier,
                "supervisor.launch.outcome": "dedup",
            }
        )
        record_dedup(self.metrics, job)
        record_launch_duration(self.metrics, "dedup", began=began)
        return True

    async def kill(self, identifier: str, scope: JobScope = ALL_JOBS) -> None:
        """Stop the workloads of an identifier's jobs; return when their names are free.

        Raises `SupervisorError`; a job that could not be stopped then counts as running again.
        Raises `Denied` if the identifier has only jobs outside of the scope.
        """
        with audited("", identifier) as audit:
            jobs = await self._find_killable(identifier, scope)
            audit.job = _names(jobs)
            failures = await self.killer.kill_each(jobs, "kill", scope)
            if failures:
                raise failures[0][1]
            audit.outcome = "killed" if jobs else "not_running"

    async def kill_all(self, scope: JobScope = ALL_JOBS) -> None:
        """Stop every job of the scope that is known by now, including launches under way.

        Raises `KillAllFailed` with what could not be stopped.
        """
        with audited("", "") as audit:
            await self._kill_all(scope)
            audit.outcome = "killed"

    async def _kill_all(self, scope: JobScope) -> None:
        began = time.perf_counter()
        try:
            await self.readiness.wait_listed()
            await self._learn_of_others({})
        except SupervisorError as error:
            record_failure(self.metrics, "kill_all", UNKNOWN, "", error, began=began)
            raise
        jobs = _within(scope, self.registry.jobs())
        log.info("kill_all.started", jobs=len(jobs), **caller().fields)
        failures = await self.killer.kill_each(jobs, "kill_all", scope)
        log.info(
            "kill_all.ended",
            jobs=len(jobs),
            failed=len(failures),
            seconds=round(time.perf_counter() - began, 3),
            **caller().fields,
        )
        if failures:
            raise KillAllFailed(failures, len(jobs))

    async def _learn_of_others(self, labels: Mapping[str, str]) -> None:
        """Learn of jobs that other supervisors have launched since the last listing."""
        if self.engine.capabilities.shared:
            instance = {INSTANCE_LABEL: self.settings.supervisor_instance}
            await self.adoption.adopt_unknown({**instance, **labels})

    def list_jobs(self, scope: JobScope = ALL_JOBS) -> Sequence[Job]:
        """The live jobs of the scope that are known. Never waits for the engine."""
        jobs = _within(scope, self.registry.jobs())
        return [job for job in jobs if job.state is not State.EXITED]

    async def finish(self) -> None:
        """Wait for the launches under way, and for the removal of those that were given up."""
        await self.launches.finish()
        await self.abandoned.finish()

    async def _launch(self, spec: JobSpec) -> LaunchOutcome | None:
        """Launch, or join an earlier launch; None if the job has no image."""
        entry = self.catalog.get(spec.name)
        annotate({"supervisor.job.name": spec.name, "supervisor.job.identifier": spec.identifier})
        if entry is not None and entry.image is None:  # also if its request is invalid
            log.info(
                "launch.no_image",
                job=spec.name,
                identifier=spec.identifier,
                **caller().fields,
            )
            return None
        check_spec(spec, reserved_parameters(entry) if entry else ())
        if entry is None:
            so_far = "no longer" if spec.name in self.catalog.gone else "not"
            raise UnknownJob(f"name: {shown(spec.name)} is {so_far} a job of the catalogue")
        variables = {**entry.variables(os.environ), **trace_environment()}
        arguments, environment = invocation_of(spec, entry, self.settings.callback, variables)
        await self._wait_for_listing()
        if earlier := self._find_by_key(spec):
            return await self.launch_tasks.join(earlier, spec, key=spec.idempotency_key)
        if entry.kind is Kind.ACTION and (running := self._joinable(spec.identifier)):
            return await self.launch_tasks.join(running, spec)
        self.cordon.check()
        job = job_of(spec, entry, environment.get("TRACEPARENT"), caller(), at=time.time())
        workload = workload_of(
            job,
            spec,
            entry,
            self.settings,
            arguments=arguments,
            environment=environment,
            names=self.engine.name_grammar,
        )
        self.launch_tasks.begin(job, spec, workload)
        return await self.launches.share(job.launch_id)

    async def _find_killable(self, identifier: str, scope: JobScope) -> Sequence[Job]:
        """The jobs that a kill has to stop. Raises `Denied` if there are only others."""
        began = time.perf_counter()
        try:
            annotate({"supervisor.job.identifier": identifier})
            await self.readiness.wait_listed()
            if can_run(identifier):
                await self._learn_of_others({IDENTIFIER_LABEL: identifier})
        except SupervisorError as error:
            record_failure(self.metrics, "kill", UNKNOWN, identifier, error, began=began)
            raise
        jobs = self.registry.of(identifier)
        killable = _within(scope, jobs)
        if jobs and not killable:
            what = f"the identifier {shown(identifier)}"
            raise Denied(what, job=_names(jobs), identifier=identifier)
        if not jobs:
            self.metrics.kills.labels(UNKNOWN, "not_running").inc()
            log.info("kill.not_running", identifier=identifier, **caller().fields)
        return killable

    async def _wait_for_listing(self) -> None:
        """Wait until it is known which jobs run. The number of such requests is limited, too."""
        if not self.readiness.listed:
            with self.admission.place():
                await self.readiness.wait_listed()

    def _joinable(self, identifier: str) -> Job | None:
        """The action that a launch of this identifier would repeat."""
        job = self.registry.grouped(identifier)
        if job is None or job.closing or self.launches.is_cancelled(job.launch_id):
            return None
        return job

    def _find_by_key(self, spec: JobSpec) -> Job | None:
        """The job that an earlier request with the same idempotency-key has launched."""
        job = self.registry.keys.find(spec)
        return None if job is None or self.launches.is_cancelled(job.launch_id) else job

    def _record_launch(self, outcome: str, began: float) -> None:
        annotate({"supervisor.launch.outcome": outcome})
        record_launch_duration(self.metrics, outcome, began=began)


def _within(scope: JobScope, jobs: Sequence[Job]) -> Sequence[Job]:
    return jobs if scope.is_everything else [job for job in jobs if scope.allows(job.name)]


def _names(jobs: Sequence[Job]) -> str:
    return ", ".join(sorted({job.name for job in jobs}))
