"""Follows the jobs, across lost connections, and says so if changes may be missing."""

import time
from collections.abc import Callable, Iterator

from service._generated.supervisor.v1.observer_pb2 import (
    Job,
    WatchJobsRequest,
    WatchJobsResponse,
)
from service.client.errors import CommandError, ExitCode
from service.client.supervisor import Supervisor

_PAUSES = (0.2, 0.5, 1.0, 2.0)
_GIVE_UP = 300.0


def watch_jobs(
    supervisor: Supervisor, wanted: WatchJobsRequest, notify: Callable[[str], None]
) -> Iterator[WatchJobsResponse]:
    """The messages of a watch. Raises `CommandError` if it cannot begin, or go on for too long.

    `notify` gets what happens to the connection.
    """
    request = WatchJobsRequest()
    request.CopyFrom(wanted)
    lost_at, tries = 0.0, 0
    while True:
        try:
            for message in supervisor.stream(supervisor.observer.WatchJobs, request):
                if lost_at:
                    notify("connected again")
                lost_at, tries = 0.0, 0
                request.resume_token = message.resume_token or request.resume_token
                yield message
            error = CommandError("the supervisor has ended the watch", ExitCode.UNREACHABLE)
        except CommandError as caught:
            if not caught.passing or not (request.resume_token or lost_at):
                raise
            error = caught
        if not lost_at:
            lost_at = time.monotonic()
            notify(f"{error}; trying again")
        if time.monotonic() - lost_at > _GIVE_UP:
            raise error
        time.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
        tries += 1


def wait_for_end(
    supervisor: Supervisor, identifier: str, launch_id: str, notify: Callable[[str], None]
) -> Job | None:
    """Wait until a launch has ended, and return it as it was then; None if it was over before."""
    wanted = WatchJobsRequest(identifier_prefix=identifier)
    live = False
    for message in watch_jobs(supervisor, wanted, notify):
        for job in message.jobs:
            if job.launch_id == launch_id:
                if job.state == "gone":
                    return job
                live = True
        if message.kind == "gap":
            live = False
        if message.complete and not live:
            break
    return None
