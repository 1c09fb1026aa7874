"""Launches a job, and finds out which one that was."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.struct_pb2 import Struct

from observability.escaping import printable
from service._generated.area_types_pb2 import AuthenticatedJobData
from service._generated.supervisor.v1.observer_pb2 import GetJobRequest, Job, ListJobsRequest
from service.client.errors import CommandError, ExitCode
from service.client.requests import require_success
from service.client.supervisor import Supervisor

_MOST = 1000


@dataclass(frozen=True, slots=True)
class Launched:
    """The job of a launch, and whether this launch has made it.

    There is none if the catalogue has no image for it. With an error, nobody can tell.
    """

    job: Job | None
    is_own: bool = True
    error: CommandError | None = None


def launched(
    supervisor: Supervisor,
    name: str,
    identifier: str,
    params: Mapping[str, Any],
    auth: Mapping[str, Any],
) -> Launched:
    """Launch a job. Raises `CommandError` if that is refused."""
    request = AuthenticatedJobData(
        name=name, identifier=identifier, params=_struct(params), auth=_struct(auth)
    )
    trace_id = secrets.token_hex(16)
    context = [("traceparent", f"00-{trace_id}-{secrets.token_hex(8)}-01")]
    answer = supervisor.call(supervisor.jobs.LaunchJob, request, timeout=None, metadata=context)
    require_success(answer, f"{printable(identifier)} was not launched")
    try:
        return _found(supervisor, identifier, trace_id)
    except CommandError as error:
        return Launched(None, error=error if error.exit_code != ExitCode.UNKNOWN else None)


def _found(supervisor: Supervisor, identifier: str, trace_id: str) -> Launched:
    """The job of this trace; another launch of the identifier if a running job has answered."""
    newest = supervisor.call(supervisor.observer.GetJob, GetJobRequest(identifier=identifier))
    if newest.trace_id == trace_id:
        return Launched(newest)
    request = ListJobsRequest(include="both", identifier_prefix=identifier, page_size=_MOST)
    for job in supervisor.call(supervisor.observer.ListJobs, request).jobs:
        if job.identifier == identifier and job.trace_id == trace_id:
            return Launched(job)
    return Launched(newest, is_own=False)


def _struct(values: Mapping[str, Any]) -> Struct:
    message = Struct()
    message.update(dict(values))
    return message
