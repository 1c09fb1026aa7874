"""The requests of a client for jobs, page by page or for one job, and errors in their answers."""

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty

from observability.escaping import printable
from service._generated.area_types_pb2 import Response
from service._generated.supervisor.v1.observer_pb2 import (
    GetJobRequest,
    Job,
    ListJobsRequest,
    ListJobsResponse,
)
from service.client.errors import CommandError, ExitCode
from service.client.supervisor import Supervisor

R = TypeVar("R")

NOTHING = Empty()

_LAUNCH_ID = re.compile(r"[0-9a-f]{16}")
_PAGE = 500


def by_either(which: str, ask: Callable[..., R]) -> R:
    """Ask about the newest launch of an identifier, or else about the one with this launch id."""
    try:
        return ask(identifier=which)
    except CommandError as error:
        if error.exit_code != ExitCode.UNKNOWN or not _LAUNCH_ID.fullmatch(which):
            raise
    return ask(launch_id=which)


def find_job(supervisor: Supervisor, which: str) -> Job:
    """The newest launch of an identifier, or else the one with this launch id."""
    return by_either(
        which, lambda **which: supervisor.call(supervisor.observer.GetJob, GetJobRequest(**which))
    )


def list_jobs(supervisor: Supervisor, wanted: ListJobsRequest, most: int = 0) -> Iterator[Job]:
    """The jobs of all pages, or at most so many. The next page is asked for once it is needed."""
    request = ListJobsRequest()
    request.CopyFrom(wanted)
    left = most
    while True:
        request.page_size = min(left, _PAGE) if most else _PAGE
        answer = _page(supervisor, request)
        yield from answer.jobs
        left -= len(answer.jobs)
        request.page_token = answer.next_page_token
        if not request.page_token or (most and left <= 0):
            return


def _page(supervisor: Supervisor, request: ListJobsRequest) -> ListJobsResponse:
    try:
        return supervisor.call(supervisor.observer.ListJobs, request)
    except CommandError as error:
        if request.page_token and error.exit_code == ExitCode.USAGE:
            raise CommandError(str(error)) from None  # the supervisor was restarted in between
        raise


def require_success(answer: Response, what: str) -> None:
    """Raise `CommandError` if an answer of the contract has an error."""
    if answer.HasField("error"):
        message = printable(answer.error.message)
        raise CommandError(f"{what} ({answer.error.code}): {message}")
