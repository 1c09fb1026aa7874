"""The task of each launch: it waits for its turn, and starts the workload."""

import time
from dataclasses import dataclass
from functools import partial

from observability.callers import caller
from observability.escaping import shown
from observability.logs import get_logger
from observability.metrics import Metrics
from observability.spans import annotate, wait_span
from service.engine.workload_spec import PullPolicy, WorkloadSpec
from service.errors import (
    ImageMissing,
    LimitReached,
    SharedFailure,
    SupervisorError,
    UnknownJob,
)
from service.jobs.model import Job, JobSpec
from service.jobs.observations import PullSeen, Started, StartFailed
from service.jobs.request_differences import differing
from service.lifecycle.adoption import Adoption
from service.lifecycle.health_waits import HealthWaits
from service.lifecycle.image_pulls import Image, ImagePulls
from service.lifecycle.launch_waits import LaunchWaits
from service.lifecycle.launcher import Launcher, RunsAlready, StartedWorkload
from service.reporting.request_reports import (
    log_failure,
    record_crash,
    record_dedup,
    record_failure,
)
from service.state.admission import Admission
from service.state.pending_launches import Launches, LaunchOutcome
from service.state.readiness import Readiness
from service.state.registry import Registry
from service.state.rooms import Rooms

log = get_logger(__name__)

_DISPLACED = (
    "launches: as many wait as may (MAX_LAUNCHES_WAITING), most of them {most}; try again in a"
    " moment"
)


@dataclass(kw_only=True, eq=False)
class LaunchTasks:
    """Launches jobs, whether or not their requests wait for that."""

    registry: Registry
    readiness: Readiness
    waits: LaunchWaits
    launcher: Launcher
    pulls: ImagePulls
    launches: Launches
    adoption: Adoption
    health_waits: HealthWaits
    admission: Admission
    rooms: Rooms
    metrics: Metrics

    def begin(self, job: Job, spec: JobSpec, workload: WorkloadSpec) -> None:
        """Reserve the identifier and start the task, in one step of the event loop.

        Raises `LimitReached`.
        """
        full = self.rooms.limit_reached(job)
        if full and not self.rooms.may_wait(job.name):
            raise LimitReached(full)
        displacing = self.admission.full and self._displace(job.name, _image_of(workload))
        work = partial(self._run, job, spec, workload, full)
        self.launches.begin(job, work, displacing=displacing)
        self.registry.add(job)
        if full:
            self.rooms.enter(job)

    async def join(self, job: Job, spec: JobSpec, key: str = "") -> LaunchOutcome:
        """Share the outcome of a launch under way, or find the job running.

        `key` is the idempotency-key, if that has found the job.
        """
        if self.launches.under_way(job.launch_id):
            await self._share(job, spec)
        else:  # it may have been adopted before it was healthy
            await self.health_waits.until_ready(job.launch_id)
        if fields := differing(job, spec):
            annotate({"supervisor.launch.differs": True, "supervisor.launch.differing": fields})
        record_dedup(self.metrics, job, differing=fields, key=key)
        return "dedup"

    def note_new_catalog(self) -> None:
        """Apply the limits of a changed catalogue. What waits for a job that is gone, fails."""
        for launch_id, name in self.rooms.drop_unknown():
            reason = f"name: {shown(name)} is no longer a job of the catalogue"
            self.launches.end(launch_id, UnknownJob(reason))
        self.rooms.update()

    def _displace(self, job_name: str, image: Image) -> bool:
        """End a launch that waits for room or for an image.

        So the flood of one job, or of the jobs of one image, refuses no other.
        """
        last, most = self.rooms.displace(job_name), "of this job"
        if last is None:
            last, most = self.pulls.displace(image), "for the pull of this image"
        if last is not None:
            self.launches.end(last, LimitReached(_DISPLACED.format(most=most)))
        return last is not None

    async def _share(self, job: Job, spec: JobSpec) -> None:
        """Wait for a launch, and log its failure for this request, too. It is counted once."""
        began = time.perf_counter()
        try:
            with wait_span("launch", linked=job.traceparent):
                await self.launches.share(job.launch_id)
        except SupervisorError as error:
            log_failure("launch", spec.name, spec.identifier, error, began=began)
            raise

    async def _run(
        self,
        job: Job,
        spec: JobSpec,
        workload: WorkloadSpec,
        full: str | None,
    ) -> LaunchOutcome:
        began = time.perf_counter()
        try:
            if full:
                await self.waits.wait_for_room(job, full)
            if runs_on := await self.waits.wait_for_predecessors(job):
                self.registry.observe(job.launch_id, StartFailed(runs_on.launch_id))
                return await self.join(runs_on, spec)
            started = await self._start(job, workload)
        except RunsAlready as found:
            self.registry.observe(job.launch_id, StartFailed(found.job.launch_id))
            return await self._adopt(found, workload, began)
        except BaseException as error:
            self.registry.observe(job.launch_id, StartFailed())
            self._report(error, job, workload, began)
            raise
        self._note_start(job, started, began)
        await self._await_health(job, workload, began)
        return "launched"

    def _note_start(self, job: Job, started: StartedWorkload, began: float) -> None:
        if started.node:
            annotate({"supervisor.node": started.node})
        begun = Started(started.id, time.time(), node=started.node, name=started.name)
        self.registry.observe(job.launch_id, begun)
        log.info(
            "job.launched",
            job=job.name,
            identifier=job.identifier,
            container_id=started.id,
            container_name=started.name,
            seconds=round(time.perf_counter() - began, 3),
            **({"node": started.node} if started.node else {}),
            **caller().fields,
        )

    async def _await_health(self, job: Job, workload: WorkloadSpec, began: float) -> None:
        """Wait until a job is ready. Raises `NotReady` and `Draining`."""
        try:
            await self.health_waits.until_ready(job.launch_id)
        except BaseException as error:
            self._report(error, job, workload, began)
            raise

    def _report(self, error: BaseException, job: Job, workload: WorkloadSpec, began: float) -> None:
        """Count and log a failure. Raises `Crashed` for a fault of this program."""
        if isinstance(error, SharedFailure):  # reported by the launch that was joined
            return
        if isinstance(error, SupervisorError):
            record_failure(self.metrics, "launch", job.name, job.identifier, error, began=began)
        elif isinstance(error, Exception):
            raise record_crash(
                self.metrics, "launch", job.name, job.identifier, workload.redact
            ) from None

    async def _start(self, job: Job, workload: WorkloadSpec) -> StartedWorkload:
        """Start the workload. Its image is pulled before, or if it is missing, as `pull` says."""
        if workload.source.pull is PullPolicy.ALWAYS:
            await self._pull(job, workload)
        try:
            return await self._start_in_slot(job, workload)
        except ImageMissing:
            # What was given up would be removed, and has the id of this launch.
            given_up = job.launch_id in self.launcher.abandoned
            if workload.source.pull is not PullPolicy.MISSING or given_up:
                raise
        await self.launches.take_back(job.launch_id)
        await self._pull(job, workload)
        return await self._start_in_slot(job, workload)

    async def _pull(self, job: Job, workload: WorkloadSpec) -> None:
        """Pull the image. That may take minutes, occupies no slot, and ends with a kill."""
        pull = partial(self.pulls.pull, job.launch_id, _image_of(workload))
        self.registry.observe(job.launch_id, PullSeen(under_way=self.pulls.are_possible))
        try:
            with self.launches.endable(job.launch_id):
                await self.readiness.when_ready(pull)
        finally:
            self.registry.observe(job.launch_id, PullSeen(under_way=False))

    async def _start_in_slot(self, job: Job, workload: WorkloadSpec) -> StartedWorkload:
        await self._acquire_slot(job)
        try:
            self.launches.commit(job.launch_id)
            return await self.launcher.start(workload)
        finally:
            self.admission.release()

    async def _acquire_slot(self, job: Job) -> None:
        if self.readiness.ready and self.admission.free:  # the usual case, without a task
            await self.admission.acquire(job)
            return
        acquire = partial(self.admission.acquire, job)
        with wait_span("slot"):
            await self.readiness.when_ready(acquire, undo=self.admission.release)

    async def _adopt(
        self, found: RunsAlready, workload: WorkloadSpec, began: float
    ) -> LaunchOutcome:
        """Adopt a workload of the identifier that a third party has started again."""
        if self.registry.get(found.job.launch_id) is None:
            self.adoption.adopt(found.job, found.workload)
        await self._await_health(found.job, workload, began)
        record_dedup(self.metrics, found.job)
        return "dedup"


def _image_of(workload: WorkloadSpec) -> Image:
    return Image(workload.image, workload.source.platform)
