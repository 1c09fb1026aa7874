"""An API of jobs in memory, for what a real supervisor does not show on demand: 10,000 jobs."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import chain, count, islice
from typing import Any

import grpc

from service._generated.area_types_pb2 import Error, Response
from service._generated.supervisor.v1 import observer_pb2 as api

_GUSHES = "gush {} " + "x" * 90


class StubApi:
    """Both servicers. Methods are called in the loop of the console, `change` from anywhere."""

    def __init__(self, jobs: Sequence[api.Job] = ()) -> None:
        self.jobs = {job.launch_id: job for job in jobs}
        self.ended: list[api.Job] = []
        self.more = False  # jobs than a page has
        self.findings: list[api.Finding] = []
        self.log: list[str] = []
        self.log_ends = True
        self.gush = 0  # lines that follow at once
        self.logs_read: list[api.StreamLogsRequest] = []
        self.killed: list[str] = []
        self.launched: list[str] = []
        self._followers: list[asyncio.Queue[api.LogLine]] = []
        self.watched: list[asyncio.Queue[bytes]] = []
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
        for watcher in self.watched:
            watcher.put_nowait(message.SerializeToString())

    def say(self, *texts: str) -> None:
        """Tell who follows a log more of it. Runs in the loop."""
        for text in texts:
            self.log.append(text)
            for follower in self._followers:
                follower.put_nowait(_line(len(self.log) - 1, text))

    async def GetJob(self, request: api.GetJobRequest, context: Any) -> api.Job:
        for job in (*self.jobs.values(), *self.ended):
            if job.launch_id == request.launch_id:
                return job
        await context.abort(grpc.StatusCode.NOT_FOUND, "launch_id: is not known")
        raise AssertionError

    async def ListJobs(self, request: api.ListJobsRequest, _: Any) -> api.ListJobsResponse:
        live = list(self.jobs.values()) if request.include != "ended" else []
        ended = self.ended if request.include in ("ended", "both") else []
        ended = [job for job in ended if request.outcome in ("", job.outcome)]
        jobs = [*live, *ended][: request.page_size or 100]
        return api.ListJobsResponse(jobs=jobs, next_page_token="next" if self.more else "")

    async def WatchJobs(self, request: api.WatchJobsRequest, _: Any) -> AsyncIterator[bytes]:
        del request
        changes: asyncio.Queue[bytes] = asyncio.Queue()
        self.watched.append(changes)
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
        self.logs_read.append(request)
        since = request.since.ToNanoseconds()
        told = [
            line for line in map(_line, count(), self.log) if line.time.ToNanoseconds() >= since
        ]
        tail = told[-request.tail :] if request.HasField("tail") else told
        gush = (_line(len(self.log) + n, _GUSHES.format(n)) for n in range(self.gush))
        for part in _parts(chain(tail, gush if request.follow else ()), 500):
            yield api.StreamLogsResponse(lines=part)
        more: asyncio.Queue[api.LogLine] = asyncio.Queue()
        self._followers.append(more)
        while not self.log_ends:
            yield api.StreamLogsResponse(lines=[await more.get()])

    async def Stats(self, _: api.StatsRequest, __: Any) -> api.StatsResponse:
        return api.StatsResponse()

    async def Diagnose(self, _: api.DiagnoseRequest, __: Any) -> api.DiagnoseResponse:
        return api.DiagnoseResponse(findings=self.findings)

    async def ListNames(self, _: api.ListNamesRequest, __: Any) -> api.ListNamesResponse:
        return api.ListNamesResponse(names=["timer", "weather"])

    async def LaunchJob(self, request: Any, _: Any) -> Response:
        if request.name == "unknown":
            return Response(error=Error(code=404, message="job 'unknown': is not in the catalogue"))
        self.launched.append(request.identifier)
        return Response()

    async def KillJob(self, request: Any, _: Any) -> Response:
        self.killed.append(request.identifier)
        for each in [job for job in self.jobs.values() if job.identifier == request.identifier]:
            each.state, each.outcome = "gone", "killed"
            self.change(each)
        return Response()


def _line(number: int, text: str) -> api.LogLine:
    """A line, with the time that lines of this number have."""
    line = api.LogLine(stream="stdout", text=text)
    line.time.FromMilliseconds(1_790_000_000_000 + number)
    return line


def _parts(lines: Iterable[api.LogLine], most: int) -> Iterator[list[api.LogLine]]:
    waiting = iter(lines)
    while part := list(islice(waiting, most)):
        yield part


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
