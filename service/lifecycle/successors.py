"""Finds the successor of an exited workload if an earlier try or an earlier process has made it."""

from service.engine.base import Engine
from service.engine.workloads import Begun, Status, Workload
from service.errors import NoSuchWorkload
from service.jobs.labels import INSTANCE_LABEL, LAUNCH_LABEL, RESTARTS_LABEL, restarts_in
from service.jobs.model import Job
from service.settings import Settings


class Successors:
    """Also remembers the jobs whose successor may exist although the engine has not said so."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._instance = settings.supervisor_instance
        self._in_doubt: dict[str, int] = {}  # by launch id: the number of the restart

    def doubt(self, job: Job) -> None:
        """The engine has not answered whether it has made the successor of a job."""
        self._in_doubt.setdefault(job.launch_id, job.restarts.total)

    def in_doubt(self, job: Job) -> bool:
        """Whether a job may have a successor without this process knowing."""
        return job.launch_id in self._in_doubt

    def settle(self, job: Job) -> None:
        """The successor is found, or others remove it."""
        self._in_doubt.pop(job.launch_id, None)

    async def find(self, job: Job) -> Begun | None:
        """The successor of a job's workload. One that never ran is removed."""
        labels = {INSTANCE_LABEL: self._instance, LAUNCH_LABEL: job.launch_id}
        found = None
        for workload in await self._engine.find(labels):
            if workload.id != job.workload_id and self._is_successor(job, workload):
                if await self._has_run(workload):
                    found = Begun(workload.id, workload.node)
                else:
                    await self._engine.remove(workload.id, force=True)
        return found

    def _is_successor(self, job: Job, workload: Workload) -> bool:
        """Whether a workload has the labels of the restart that is due, or of one in doubt."""
        due = self._in_doubt.get(job.launch_id, job.restarts.total)
        return RESTARTS_LABEL in workload.labels and restarts_in(workload.labels).total >= due

    async def _has_run(self, workload: Workload) -> bool:
        if workload.status is Status.LIVE:
            return True
        try:
            return (await self._engine.inspect(workload.id)).started_at > 0
        except NoSuchWorkload:
            return False
