"""An API of jobs in memory, for what a real supervisor does not show on demand: 10,000 jobs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from service._generated.area_types_pb2 import Error, Response
from service._generated.supervisor.v1 import observer_pb2 as api


class StubApi:
    """Both servicers. Methods are called in the loop of the console, `change` from anywhere."""

    def __init__(self, jobs: Sequence[api.Job] = ()) -> None:
        self.jobs = {job.launch_id: job for job in jobs}
        self.ended: list[api.Job] = []
        self.findings: list[api.Finding] = []
        self.log: list[str] = []
        self.log_ends = True
        self.killed: list[str] = []
        self.launched: list[str] = []
        self._watchers: list[asyncio.Queue[bytes]] = []
        self._sequence = 0

    def change(self, *jobs: api.Job) -> None:
        """Tell watchers that jobs have changed. Runs in the loop."""
        for job in jobs:
            if job.state == "gone":
                self.jobs.pop(job.launch_id, None)
                self.ended.insert(0, job)
            else:
                self.jobs[job.launch_id] = job
        self._sequence += 1
        message = api.WatchJobsResponse(
            resume_token=f"e.{self._sequence}", kind="changes", jobs=jobs
        )
        for watcher in self._watchers:
            watcher.put_nowait(message.SerializeToString())

    async def GetJob(self, request: api.GetJobRequest, context: Any) -> api.Job:
        for job in (*self.jobs.values(), *self.ended):
            if job.launch_id == request.launch_id:
                return job
        await context.abort(grpc.StatusCode.NOT_FOUND, "launch_id: is not known")
        raise AssertionError

    async def ListJobs(self, request: api.ListJobsRequest, _: Any) -> api.ListJobsResponse:
        live = list(self.jobs.values()) if request.include != "ended" else []
        ended = self.ended if request.include in ("ended", "both") else []
        return api.ListJobsResponse(jobs=[*live, *ended][: request.page_size or 100])

    async def WatchJobs(self, request: api.WatchJobsRequest, _: Any) -> AsyncIterator[bytes]:
        del request
        changes: asyncio.Queue[bytes] = asyncio.Queue()
        self._watchers.append(changes)
        jobs = list(self.jobs.values())
        for start in range(0, max(1, len(jobs)), 1000):
            part = jobs[start : start + 1000]
            complete = start + 1000 >= len(jobs)
            yield api.WatchJobsResponse(
                resume_token="e.0", kind="snapshot", jobs=part, complete=complete
            ).SerializeToString()
        while True:
            yield await changes.get()

    async def StreamLogs(
        self, request: api.StreamLogsRequest, _: Any
    ) -> AsyncIterator[api.StreamLogsResponse]:
        lines = self.log[-request.tail :] if request.HasField("tail") else self.log
        for start in range(0, len(lines), 500):
            part = [api.LogLine(stream="stdout", text=each) for each in lines[start : start + 500]]
            yield api.StreamLogsResponse(lines=part)
        if not self.log_ends:
            await asyncio.Event().wait()

    async def Stats(self, _: api.StatsRequest, __: Any) -> api.StatsResponse:
        return api.StatsResponse()

    async def Diagnose(self, _: api.DiagnoseRequest, __: Any) -> api.DiagnoseResponse:
        return api.DiagnoseResponse(findings=self.findings)

    async def LaunchJob(self, request: Any, _: Any) -> Response:
        if request.name == "unknown":
            return Response(error=Error(code=404, message="job 'unknown': is not in the catalogue"))
        self.launched.append(request.identifier)
        return Response()

    async def KillJob(self, request: Any, _: Any) -> Response:
        self.killed.append(request.identifier)
        return Response()


def job(number: int, **fields: Any) -> api.Job:
    """A running job."""
    made = {
        "launch_id": f"l-{number}",
        "name": f"job-{number % 7}",
        "identifier": f"action-{number:05}",
        "kind": "action",
        "state": "running",
    }
    message = api.Job(**(made | fields))
    if not message.HasField("created"):
        message.created.seconds = 1_790_000_000 + number
    return message
