"""A copy of the registry at one moment, and how a listing differs from it."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from service.engine.workloads import Health, Status, Workload
from service.jobs.labels import launch_id_in
from service.jobs.model import Job
from service.jobs.observations import ImageSeen


class Snapshot:
    """The live jobs of one moment. Jobs are immutable, so a thread can read it."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        """`jobs` are by launch id, and a copy."""
        self._jobs = jobs
        self.images: dict[str, ImageSeen] = {}  # by launch id: news of the listing

    def has_workload(self, workload: Workload) -> bool:
        """Whether a workload belonged to a live job, or may have been started for it since."""
        job = self._jobs.get(launch_id_in(workload.labels))
        return job is not None and job.workload_id in (None, workload.id)

    def confirms(self, workload: Workload) -> bool:
        """Whether a listed workload is that of a job in the same state, so that nothing differs."""
        launch_id = launch_id_in(workload.labels)
        job = self._jobs.get(launch_id)
        listed = {workload.id: workload}
        if job is None or workload.aside or differs(job, listed) or differs_in_health(job, listed):
            return False
        if workload.image_digest and not job.image_digest:
            self.images[launch_id] = ImageSeen(workload.id, workload.image_digest)
        self._left.pop(launch_id, None)
        return True

    @property
    def unconfirmed(self) -> Sequence[Job]:
        """The jobs with a workload that no workload has confirmed; complete after the listing."""
        return [job for job in self._left.values() if job.workload_id is not None]

    @cached_property
    def _left(self) -> dict[str, Job]:
        """The jobs not confirmed yet. The thread that reads the listing makes this copy."""
        return dict(self._jobs)


def differs(job: Job, listed: Mapping[str, Workload]) -> bool:
    """Whether a listing contradicts what is known of a job: it runs, or is paused.

    `listed` are workloads by id.
    """
    workload = listed.get(job.workload_id or "")
    if job.backing_off:
        return workload is None or workload.status is Status.LIVE
    if workload is not None and workload.status is Status.UNKNOWN:
        return False  # an event will show it
    if workload is None or workload.status is not Status.LIVE:
        return True
    return job.exit_seen or workload.paused != job.paused


def differs_in_health(job: Job, listed: Mapping[str, Workload]) -> bool:
    """Whether a listing contradicts what is known of a job's health, if it has that."""
    workload = listed.get(job.workload_id or "")
    if workload is None or workload.health is Health.UNKNOWN:
        return False
    became_ready = workload.health is Health.HEALTHY and job.awaits_health
    return became_ready or (workload.health is Health.UNHEALTHY) != job.unhealthy
