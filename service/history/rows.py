"""Converts jobs to rows of the table, and back, without secrets and what only live jobs need."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from observability.callers import Caller
from service.history.kept import Entry
from service.jobs.model import Job, Kind, Outcome, State
from service.jobs.restart_policy import NO_RESTARTS

COLUMNS = (
    "position",
    "launch_id",
    "name",
    "identifier",
    "kind",
    "outcome",
    "created_at",
    "started_at",
    "ended_at",
    "exit_code",
    "oom_killed",
    "signal",
    "restarts",
    "workload_id",
    "workload_name",
    "node",
    "image",
    "image_digest",
    "traceparent",
    "launcher",
    "launcher_peer",
    "launcher_user_agent",
    "killer",
    "killer_peer",
    "killer_user_agent",
    "last_lines",
    "ended_for",
)

Row = Sequence[Any]


def record_of(job: Job) -> Job:
    """The job as it is kept in memory: without what finds its credentials, or is of its request."""
    return replace(job, redact=None, digests={}, idempotency_key="", last_end=None, restart=None)


def row_of(position: int, job: Job) -> Row:
    """The values of the columns."""
    return (
        position,
        _encodable(job.launch_id),
        _encodable(job.name),
        _encodable(job.identifier),
        job.kind.value,
        job.outcome.value if job.outcome else None,
        job.created_at,
        job.started_at,
        job.ended_at,
        job.exit_code,
        job.oom_killed,
        job.signal,
        job.restarts.total,
        job.workload_id,
        job.workload_name,
        job.node,
        job.image,
        job.image_digest,
        job.traceparent,
        *map(_encodable, (job.launched_by.client, *job.launched_by[:2])),
        *map(_encodable, (job.killer.client, *job.killer[:2])),
        _encodable(job.last_lines),
        job.ended_for,
    )


def entry_of(row: Row) -> Entry:
    """The job of a row, and its place."""
    found = dict(zip(COLUMNS, row, strict=True))
    launcher = Caller(*map(found.pop, ("launcher_peer", "launcher_user_agent", "launcher")))
    killer = Caller(*map(found.pop, ("killer_peer", "killer_user_agent", "killer")))
    position, outcome = found.pop("position"), found.pop("outcome")
    job = Job(
        **found
        | {
            "kind": Kind(found["kind"]),
            "state": State.GONE,
            "outcome": Outcome(outcome) if outcome else None,
            "oom_killed": bool(found["oom_killed"]),
            "restarts": replace(NO_RESTARTS, total=found["restarts"]),
            "launched_by": launcher,
            "killer": killer,
            "exit_seen": True,
        }
    )
    return Entry(position, job)


def _encodable(text: str) -> str:
    """A text without half characters, which SQLite refuses."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text
