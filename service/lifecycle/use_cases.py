"""The use cases: launch, kill, kill all, list."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import partial

from observability.callers import caller
from observability.logs import get_logger
from observability.metrics import UNKNOWN, Metrics
from observability.printable import shown
from observability.spans import annotate, trace_environment, waiting
from service.engine.base import WorkloadSpec
from service.errors import (
    EngineTimeout,
    KillAllFailed,
    SharedFailure,
    SupervisorError,
    UnknownJob,
)
from service.jobs.catalog import Catalog
from service.jobs.differences import differing
from service.jobs.model import Job, JobSpec, Kind, Started, StartFailed, State
from service.jobs.validation import check_spec
from service.jobs.workload import arguments_of, check_size, job_of, workload_of
from service.lifecycle.abandoned import AbandonedLaunches
from service.lifecycle.adoption import Adoption
from service.lifecycle.killer import Killer
from service.lifecycle.launcher import Launcher, NameRunsAlready, StartedWorkload
from service.reporting.request_reports import (
    account_crash,
    account_dedup,
    account_failure,
    tell_failure,
    time_launch,
)
from service.settings import Settings
from service.state.admission import Admission
from service.state.launches import Launches, LaunchOutcome
from service.state.readiness import Readiness
from service.state.registry import Registry

log = get_logger(__name__)

# How long a launch waits for the end of its identifier's earlier container (seconds), beside the
# grace that it may have.
_END_PATIENCE = 60.0


class Supervisor:
    """Carries out what a backend asks for."""

    def __init__(
        self,
        *,
        registry: Registry,
        catalog: Catalog,
        readiness: Readiness,
        launcher: Launcher,
        abandoned: AbandonedLaunches,
        adoption: Adoption,
        killer: Killer,
        admission: Admission,
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        self._registry = registry
        self._catalog = catalog
        self._readiness = readiness
        self._launcher = launcher
        self._abandoned = abandoned
        self._adoption = adoption
        self._killer = killer
        self._admission = admission
        self._metrics = metrics
        self._settings = settings
        self._launches = Launches(admission)

    async def launch(self, spec: JobSpec) -> None:
        """Run a job, or find that it runs; return when its container has started.

        Raises `SupervisorError`: then nothing was launched, and nothing is left behind.
        """
        began = time.perf_counter()
        try:
            outcome = await self._launch(spec)
        except SupervisorError as error:
            if not isinstance(error, SharedFailure):  # which its launch has accounted for
                account_failure(
                    self._metrics, "launch", spec.name, spec.identifier, error, began=began
                )
            self._observe_launch("failed", began)
            raise
        if outcome is not None:
            self._observe_launch(outcome, began)

    def repeats(self, identifier: str, fingerprint: int) -> bool:
        """Whether a request is the very one that launched a job that runs: then it is a dedup.

        Such a request has been checked before, and most requests are such: a backend that starts
        launches everything it wants to run.
        """
        began = time.perf_counter()
        job = self._joinable(identifier)
        if job is None or job.fingerprint != fingerprint or not job.steady:
            return False
        # All at once: each access to the span costs as much as an attribute.
        annotate(
            {
                "supervisor.job.name": job.name,
                "supervisor.job.identifier": identifier,
                "supervisor.launch.outcome": "dedup",
            }
        )
        account_dedup(self._metrics, job)
        time_launch(self._metrics, "dedup", began=began)
        return True

    async def kill(self, identifier: str) -> None:
        """Stop every container of an identifier; return when they are gone and their names free.

        Raises `SupervisorError`; a job that could not be stopped then counts as running again.
        """
        began = time.perf_counter()
        try:
            annotate({"supervisor.job.identifier": identifier})
            await self._readiness.wait_listed()
        except SupervisorError as error:
            account_failure(self._metrics, "kill", UNKNOWN, identifier, error, began=began)
            raise
        jobs = self._registry.of(identifier)
        if not jobs:
            self._metrics.kills.labels(UNKNOWN, "not_running").inc()
            log.info("kill.not_running", identifier=identifier, **caller().fields)
        failures = await self._killer.kill_each(jobs, "kill")
        if failures:
            raise failures[0][1]

    async def kill_all(self) -> None:
        """Stop every job known by now, launches under way included, all in parallel.

        Raises `KillAllFailed` with what could not be stopped.
        """
        began = time.perf_counter()
        try:
            await self._readiness.wait_listed()
        except SupervisorError as error:
            account_failure(self._metrics, "kill_all", UNKNOWN, "", error, began=began)
            raise
        jobs = self._registry.jobs()
        log.info("kill_all.started", jobs=len(jobs), **caller().fields)
        failures = await self._killer.kill_each(jobs, "kill_all")
        log.info(
            "kill_all.ended",
            jobs=len(jobs),
            failed=len(failures),
            seconds=round(time.perf_counter() - began, 3),
            **caller().fields,
        )
        if failures:
            raise KillAllFailed(failures, len(jobs))

    def list_jobs(self) -> Sequence[Job]:
        """The live jobs, as far as they are known. Never waits for the Engine."""
        return [job for job in self._registry.jobs() if job.state is not State.EXITED]

    async def finish(self) -> None:
        """Wait for the launches under way, also those whose clients have gone or that fail."""
        await self._launches.finish()
        await self._abandoned.finish()

    async def _launch(self, spec: JobSpec) -> LaunchOutcome | None:
        entry = self._catalog.get(spec.name)
        annotate({"supervisor.job.name": spec.name, "supervisor.job.identifier": spec.identifier})
        if entry is not None and entry.image is None:
            log.info(
                "launch.no_image",
                job=spec.name,
                identifier=spec.identifier,
                **caller().fields,
            )
            return None  # whatever it asks for: nothing of it would run
        check_spec(spec)
        if entry is None:
            told = "is not a job of the catalogue, which is read at the supervisor's start"
            raise UnknownJob(f"name: {shown(spec.name)} {told}")
        arguments = arguments_of(spec, entry, self._settings.callback)
        environment = trace_environment()
        check_size(arguments, environment)
        await self._await_listing()
        if earlier := self._launched_before(spec):
            return await self._join(earlier, spec, key=spec.idempotency_key)
        if entry.kind is Kind.ACTION and (running := self._joinable(spec.identifier)):
            return await self._join(running, spec)
        job = job_of(spec, entry, environment.get("TRACEPARENT"))
        workload = workload_of(
            job,
            spec,
            entry,
            self._settings,
            arguments=arguments,
            environment=environment,
            names=self._launcher.names,
        )
        self._begin(job, spec, workload)
        return await self._launches.share(job.launch_id)

    async def _await_listing(self) -> None:
        """Before it is known what runs, everything waits; that has its bound, too."""
        if not self._readiness.listed:
            with self._admission.place(), waiting("engine"):
                await self._readiness.wait_listed()

    def _joinable(self, identifier: str) -> Job | None:
        """The grouped job that a launch of this identifier would repeat."""
        job = self._registry.grouped(identifier)
        if job is None or job.ending or self._launches.revoked(job.launch_id):
            return None
        return job

    def _launched_before(self, spec: JobSpec) -> Job | None:
        """What an earlier request with the same idempotency-key has launched."""
        job = self._registry.keys.find(spec)
        return None if job is None or self._launches.revoked(job.launch_id) else job

    async def _join(self, job: Job, spec: JobSpec, key: str = "") -> LaunchOutcome:
        """Share the fate of a launch under way, or find the job running."""
        if self._launches.under_way(job.launch_id):
            await self._share(job, spec)
        if fields := differing(job, spec):
            annotate({"supervisor.launch.differs": True, "supervisor.launch.differing": fields})
        account_dedup(self._metrics, job, differing=fields, key=key)
        return "dedup"

    async def _share(self, job: Job, spec: JobSpec) -> None:
        """The outcome of a launch under way. Who is refused with it is told; it is counted once."""
        began = time.perf_counter()
        try:
            with waiting("launch", linked=job.traceparent):
                await self._launches.share(job.launch_id)
        except SupervisorError as error:
            tell_failure("launch", spec.name, spec.identifier, error, began=began)
            raise

    def _begin(self, job: Job, spec: JobSpec, workload: WorkloadSpec) -> None:
        """Reserve the identifier and start the work, in one step of the event loop."""
        earlier = [j for j in self._registry.of(job.identifier) if j.grouped and job.grouped]
        self._admission.check_running(len(self._registry) - len(earlier))
        self._launches.begin(job, lambda: self._run(job, spec, workload, earlier))
        self._registry.add(job)

    async def _run(
        self, job: Job, spec: JobSpec, workload: WorkloadSpec, earlier: Iterable[Job]
    ) -> LaunchOutcome:
        began = time.perf_counter()
        try:
            if runs_on := await self._outlived(earlier):
                self._registry.observe(job.launch_id, StartFailed())
                return await self._join(runs_on, spec)
            container = await self._start(job, workload)
        except NameRunsAlready as found:
            self._registry.observe(job.launch_id, StartFailed())
            return self._take_over(found)
        except BaseException as error:
            self._registry.observe(job.launch_id, StartFailed())
            if isinstance(error, SharedFailure):  # of the job that it has joined
                raise
            if isinstance(error, SupervisorError):
                account_failure(
                    self._metrics, "launch", job.name, job.identifier, error, began=began
                )
            elif isinstance(error, Exception):
                raise account_crash(
                    self._metrics, "launch", job.name, job.identifier, workload.redact
                ) from None
            raise
        self._registry.observe(job.launch_id, Started(container.id, time.time()))
        log.info(
            "job.launched",
            job=job.name,
            identifier=job.identifier,
            container_id=container.id,
            container_name=container.name,
            seconds=round(time.perf_counter() - began, 3),
            **caller().fields,
        )
        return "launched"

    async def _outlived(self, earlier: Iterable[Job]) -> Job | None:
        """Wait until the identifier is free; a job whose kill has failed keeps it."""
        try:
            async with asyncio.timeout(self._settings.job_stop_grace_seconds + _END_PATIENCE):
                for job in earlier:
                    with waiting("earlier container", linked=job.traceparent):
                        runs_on = await self._readiness.when_ready(partial(self._settled, job))
                    if runs_on:
                        return job
        except TimeoutError:
            raise EngineTimeout("the identifier's earlier container is not gone yet") from None
        return None

    async def _settled(self, earlier: Job) -> Job | None:
        """Wait for the end of a job, or for the news that it runs on after all."""
        return await self._registry.wait(earlier.launch_id, lambda j: j.steady)

    async def _start(self, job: Job, workload: WorkloadSpec) -> StartedWorkload:
        if self._launcher.prepares:  # it may take minutes, and takes up no slot meanwhile
            await self._readiness.when_ready(partial(self._launcher.prepare, workload))
        await self._take_turn()
        try:
            self._launches.commit(job.launch_id)
            return await self._launcher.start(workload)
        finally:
            self._admission.release()

    async def _take_turn(self) -> None:
        if self._readiness.ready and self._admission.free:  # hardly ever is there a wait
            await self._admission.acquire()
            return
        with waiting("slot"):
            await self._readiness.when_ready(self._admission.acquire, undo=self._admission.release)

    def _take_over(self, found: NameRunsAlready) -> LaunchOutcome:
        """A third party has started an exited container of this identifier again: it is the job."""
        if self._registry.get(found.job.launch_id) is None:
            self._adoption.take_over(found.job, found.holder)
        account_dedup(self._metrics, found.job)
        return "dedup"

    def _observe_launch(self, outcome: str, began: float) -> None:
        annotate({"supervisor.launch.outcome": outcome})
        time_launch(self._metrics, outcome, began=began)
