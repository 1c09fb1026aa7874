"""A supervisor of messages alone, for the command line: it answers what a test has put in."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty as Nothing
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from service._generated.area_supervisor_pb2 import Job, JobId, JobList
from service._generated.area_supervisor_pb2_grpc import (
    AreaSupervisorServiceServicer,
    add_AreaSupervisorServiceServicer_to_server,
)
from service._generated.area_types_pb2 import AuthenticatedJobData, Response
from service._generated.supervisor.v1 import observer_pb2 as api
from service._generated.supervisor.v1.observer_pb2_grpc import (
    JobObserverServicer,
    add_JobObserverServicer_to_server,
)

Context = grpc.ServicerContext

_PATIENCE = 0.05  # until it looks whether its client has gone (seconds)


def a_job(identifier: str = "timer-1", **more: Any) -> api.Job:
    """A running job."""
    values: dict[str, Any] = {
        "launch_id": f"{abs(hash(identifier)) % 16**16:016x}",
        "name": "timer-seconds-interval",
        "kind": "action",
        "state": "running",
        "created": Timestamp(seconds=1_700_000_000),
    }
    return api.Job(identifier=identifier, **(values | more))


def _refused(context: Context, code: grpc.StatusCode, details: str) -> Exception:
    context.abort(code, details)
    raise AssertionError


@dataclass
class Fake(AreaSupervisorServiceServicer, JobObserverServicer):
    """What it answers, and what it was asked."""

    jobs: list[api.Job] = field(default_factory=list)
    refusal: tuple[grpc.StatusCode, str] | None = None
    response: Response = field(default_factory=Response)
    launch: Callable[[AuthenticatedJobData, str], None] = lambda _data, _trace_id: None
    watches: Queue[Sequence[api.WatchJobsResponse] | None] = field(default_factory=Queue)
    lines: Sequence[api.LogLine] = ()
    names: Sequence[str] = ()
    stats: Sequence[api.JobStats] = ()
    unmeasured: Sequence[api.UnmeasuredJob] = ()
    asked: list[Any] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def _heard(self, request: Any, context: Context) -> None:
        self.asked.append(request)
        self.metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
        if self.refusal:
            context.abort(*self.refusal)

    def _find(self, request: Any, context: Context) -> api.Job:
        which = "launch_id" if request.launch_id else "identifier"
        wanted = getattr(request, which)
        for job in self.jobs:
            if getattr(job, which) == wanted:
                return job
        raise _refused(context, grpc.StatusCode.NOT_FOUND, f"{which}: {wanted!r} is not known")

    def GetJob(self, request: api.GetJobRequest, context: Context) -> api.Job:
        self._heard(request, context)
        return self._find(request, context)

    def ListJobs(self, request: Any, context: Context) -> Any:
        self._heard(request, context)
        if isinstance(request, Nothing):
            return JobList(jobs=[Job(identifier=job.identifier) for job in self.jobs])
        first = int(request.page_token or 0)
        after = first + request.page_size
        return api.ListJobsResponse(
            jobs=self.jobs[first:after],
            next_page_token=str(after) if after < len(self.jobs) else "",
        )

    def ListNames(self, request: api.ListNamesRequest, context: Context) -> api.ListNamesResponse:
        self._heard(request, context)
        return api.ListNamesResponse(names=self.names)

    def WatchJobs(
        self, request: api.WatchJobsRequest, context: Context
    ) -> Iterator[api.WatchJobsResponse]:
        """Each watch gets the next answers; None ends it as a supervisor that has gone."""
        self._heard(request, context)
        while context.is_active():
            with suppress(Empty):
                answers = self.watches.get(timeout=_PATIENCE)
                if answers is None:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
                yield from answers

    def StreamLogs(
        self, request: api.StreamLogsRequest, context: Context
    ) -> Iterator[api.StreamLogsResponse]:
        self._heard(request, context)
        self._find(request, context)
        yield api.StreamLogsResponse(lines=self.lines)
        if request.follow:
            context.add_callback(self.ended.set)
            self.ended.wait(30)

    def Stats(self, request: api.StatsRequest, context: Context) -> api.StatsResponse:
        self._heard(request, context)
        return api.StatsResponse(jobs=self.stats, unmeasured=self.unmeasured)

    def Diagnose(self, request: api.DiagnoseRequest, context: Context) -> api.DiagnoseResponse:
        self._heard(request, context)
        return api.DiagnoseResponse()

    def Cordon(self, request: api.CordonRequest, context: Context) -> api.CordonResponse:
        self._heard(request, context)
        return api.CordonResponse()

    def Uncordon(self, request: api.UncordonRequest, context: Context) -> api.UncordonResponse:
        self._heard(request, context)
        return api.UncordonResponse()

    def LaunchJob(self, request: AuthenticatedJobData, context: Context) -> Response:
        self._heard(request, context)
        self.launch(request, self.metadata["traceparent"].split("-")[1])
        return self.response

    def KillJob(self, request: JobId, context: Context) -> Response:
        self._heard(request, context)
        return self.response

    def KillAllJobs(self, request: Nothing, context: Context) -> Response:
        self._heard(request, context)
        return self.response


class _Health(health_pb2_grpc.HealthServicer):
    def Check(self, _request: HealthCheckRequest, _context: Context) -> HealthCheckResponse:
        return HealthCheckResponse(status=HealthCheckResponse.SERVING)


@contextmanager
def serving(
    fake: Fake, credentials: grpc.ServerCredentials | None = None, *, port: int = 0
) -> Iterator[str]:
    """Its address."""
    server = grpc.server(ThreadPoolExecutor(8))
    add_AreaSupervisorServiceServicer_to_server(fake, server)
    add_JobObserverServicer_to_server(fake, server)
    health_pb2_grpc.add_HealthServicer_to_server(_Health(), server)
    address = f"localhost:{port}"
    if credentials:
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        fake.ended.set()
        server.stop(None).wait()
