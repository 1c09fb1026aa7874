"""The jobs of the registry at one moment, and how a listing differs from them."""

from collections.abc import Mapping, Sequence

from service.engine.workloads import Health, Status, Workload
from service.jobs.labels import launch_id_in
from service.jobs.model import Job
from service.jobs.observations import ImageSeen

# A change copies a part of this many. With 100,000 jobs, a part has a hundred.
_PARTS = 1024


class JobTable:
    """Jobs by launch id, in parts. Snapshots share them: a part is copied before it changes.

    To copy all jobs for a snapshot would hold up the event loop: with 100,000, by 4 to 30 ms.
    """

    def __init__(self) -> None:
        self._parts: list[dict[str, Job]] = [{} for _ in range(_PARTS)]
        self._copied: set[int] = set()  # since the last snapshot

    def put(self, job: Job) -> None:
        """Add a job, or replace it as it was before."""
        self._part(job.launch_id)[job.launch_id] = job

    def remove(self, launch_id: str) -> None:
        """Remove a job."""
        del self._part(launch_id)[launch_id]

    def snapshot(self) -> "Snapshot":
        """The jobs, as they are now."""
        self._copied.clear()
        return Snapshot(tuple(self._parts))

    def _part(self, launch_id: str) -> dict[str, Job]:
        """The part of a job, to be changed."""
        number = hash(launch_id) % _PARTS
        if number not in self._copied:
            self._parts[number] = self._parts[number].copy()
            self._copied.add(number)
        return self._parts[number]


class Snapshot:
    """The live jobs of one moment. They do not change any more, so a thread can read them."""

    def __init__(self, parts: Sequence[Mapping[str, Job]]) -> None:
        """Of the parts, each has the jobs whose launch ids have its number as hash."""
        self._parts = parts
        self._left: dict[int, dict[str, Job]] = {}  # the jobs not confirmed yet, of some parts
        self.images: dict[str, ImageSeen] = {}  # by launch id: news of the listing

    def has_workload(self, workload: Workload) -> bool:
        """Whether a workload belonged to a live job, or may have been started for it since."""
        job = self._get(launch_id_in(workload.labels))
        return job is not None and job.workload_id in (None, workload.id)

    def confirms(self, workload: Workload) -> bool:
        """Whether a listed workload is that of a job in the same state, so that nothing differs."""
        launch_id = launch_id_in(workload.labels)
        job = self._get(launch_id)
        listed = {workload.id: workload}
        if job is None or workload.aside or differs(job, listed) or differs_in_health(job, listed):
            return False
        if workload.image_digest and not job.image_digest:
            self.images[launch_id] = ImageSeen(workload.id, workload.image_digest)
        number = hash(launch_id) % len(self._parts)
        if number not in self._left:
            self._left[number] = dict(self._parts[number])
        self._left[number].pop(launch_id, None)
        return True

    @property
    def unconfirmed(self) -> Sequence[Job]:
        """The jobs with a workload that no workload has confirmed; complete after the listing.

        The oldest comes first.
        """
        parts = [self._left.get(number, part) for number, part in enumerate(self._parts)]
        jobs = [job for part in parts for job in part.values() if job.workload_id is not None]
        return sorted(jobs, key=lambda job: job.number)

    def _get(self, launch_id: str) -> Job | None:
        return self._parts[hash(launch_id) % len(self._parts)].get(launch_id)


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
