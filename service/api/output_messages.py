"""Reads what is asked of outputs, and makes the messages about outputs and usage."""

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from service._generated.supervisor.v1 import observer_pb2 as messages
from service.api.timestamps import nanoseconds_of
from service.engine.output import Printed
from service.errors import InvalidRequest
from service.observe.logs import MOST_TAIL, LogsWanted
from service.observe.stats import Measurement

_SECOND = 10**9  # nanoseconds


def logs_wanted(request: messages.StreamLogsRequest) -> LogsWanted:
    """The options of a request for output. Raises `InvalidRequest`."""
    tail = request.tail if request.HasField("tail") else None
    if tail is not None and not 0 <= tail <= MOST_TAIL:
        raise InvalidRequest(
            f"tail: is {tail}; allowed are 0 to {MOST_TAIL}, and without it all lines come"
        )
    since = nanoseconds_of("since", request.since)
    return LogsWanted(follow=request.follow, tail=tail, since=max(0, since))


def logs_message(lines: Sequence[Printed], *, timestamps: bool) -> messages.StreamLogsResponse:
    """Some lines of an output."""
    sent = [
        messages.LogLine(
            stream=line.stream, text=line.text, time=_time(line.at) if timestamps else None
        )
        for line in lines
    ]
    return messages.StreamLogsResponse(lines=sent)


def stats_message(found: Measurement) -> messages.StatsResponse:
    """The usage of jobs, and the jobs that could not be measured."""
    measured = [
        messages.JobStats(
            launch_id=each.job.launch_id,
            name=each.job.name,
            identifier=each.job.identifier,
            cpu=each.cpu,
            memory_bytes=each.usage.memory,
            memory_limit_bytes=each.usage.memory_limit,
            processes=each.usage.processes,
            node=each.job.node,
        )
        for each in found.jobs
    ]
    unmeasured = [
        messages.UnmeasuredJob(
            launch_id=job.launch_id,
            name=job.name,
            identifier=job.identifier,
            node=job.node,
            reason=reason.value,
        )
        for job, reason in found.unmeasured
    ]
    return messages.StatsResponse(jobs=measured, unmeasured=unmeasured)


def _time(at: int) -> Timestamp | None:
    """None if it is not known."""
    return Timestamp(seconds=at // _SECOND, nanos=at % _SECOND) if at else None
