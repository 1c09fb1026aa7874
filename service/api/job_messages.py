"""Makes the messages about jobs for the API to observe."""

from google.protobuf.timestamp_pb2 import Timestamp

from observability.callers import NO_CALLER
from observability.callers import Caller as Client
from service._generated.supervisor.v1.observer_pb2 import Caller, Job
from service.api.timestamps import is_time
from service.jobs.model import Job as KnownJob

# An argument is shorter than this. Labels that somebody has made by hand need not be.
_LONGEST = 131_072
_MICROS = 1_000_000  # a float has no more digits
_LARGEST = 2**31 - 1  # of an int32


def message_of(job: KnownJob) -> Job:
    """A job as a message. While it backs off, the message says how its last run has ended."""
    end = job.last_end if job.backing_off and job.last_end else job
    message = Job(
        launch_id=encodable(job.launch_id),
        name=encodable(job.name),
        identifier=encodable(job.identifier),
        kind=job.kind,
        state=job.state,
        container_id=job.workload_id or "",
        container_name=encodable(job.workload_name),
        image=encodable(job.image),
        image_digest=encodable(job.image_digest),
        outcome=job.outcome or "",
        exit_code=_fitting(end.exit_code),
        out_of_memory=end.oom_killed,
        restarts=_fitting(job.restarts.total) or 0,
        last_lines=encodable(end.last_lines),
        trace_id=encodable(job.trace_id),
        node=encodable(job.node),
        unhealthy=job.is_sick,
        pulling=job.pulling,
    )
    _set_times(message, job)
    if job.launched_by != NO_CALLER:
        message.launched_by.CopyFrom(_caller(job.launched_by))
    if job.killer != NO_CALLER:
        message.killed_by.CopyFrom(_caller(job.killer))
    return message


def encodable(text: str) -> str:
    """A text without halves of characters, which labels may have, and messages may not.

    It is cut to the longest that can be launched, so that any job fits into a message.
    """
    text = text[:_LONGEST]
    if text.isascii():
        return text
    return text.encode(errors="replace").decode()


def _fitting(number: int | None) -> int | None:
    """The number, unless no field can hold it: labels of a job or an image may have any number."""
    return number if number is not None and abs(number) <= _LARGEST else None


def _set_times(message: Job, job: KnownJob) -> None:
    _set(message.created, job.created_at)
    _set(message.started, job.started_at)
    _set(message.ended, job.ended_at)
    _set(message.restart_at, job.restart_at if job.backing_off else None)


def _set(field: Timestamp, at: float | None) -> None:
    """Leave the field unset for a time that is not known, or that no field can hold."""
    if at and is_time(at):
        field.seconds, micros = divmod(round(at * _MICROS), _MICROS)
        field.nanos = micros * 1000


def _caller(known: Client) -> Caller:
    return Caller(
        client=encodable(known.client),
        peer=encodable(known.peer),
        user_agent=encodable(known.user_agent),
    )
