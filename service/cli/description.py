"""The page that `describe` prints about a job."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from observability.escaping import printable
from service.cli.job_columns import colour_of, ran_for, state_of
from service.cli.terminal import coloured, harmless
from service.cli.times import ago
from service.client.messages import rfc3339, seconds_of

if TYPE_CHECKING:
    from service._generated.supervisor.v1.observer_pb2 import Caller, Job

_INDENT = 14


def description(job: "Job", trace_url: str) -> Iterator[str]:
    """The lines: what is known, and then what the job has said last."""
    for title, text in _facts(job, trace_url):
        if text:
            shown = printable(text)
            shown = coloured(shown, colour_of(job)) if title == "State" else shown
            yield f"{title + ':':{_INDENT}}{shown}"
    if job.last_lines:
        yield "Last lines:"
        for line in job.last_lines.splitlines():
            yield f"  {harmless(line)}"


def _facts(job: "Job", trace_url: str) -> Iterator[tuple[str, str]]:
    yield "Identifier", job.identifier
    yield "Job", f"{job.name} ({job.kind})" if job.kind else job.name
    yield "Launch", job.launch_id
    yield "State", state_of(job)
    yield "Reason", "it was out of memory" if job.out_of_memory else ""
    for title, field in (("Created", "created"), ("Started", "started"), ("Ended", "ended")):
        yield title, _at(job, field)
    yield "Ran for", ran_for(job)
    yield "Restarts", str(job.restarts)
    yield "Next start", _at(job, "restart_at")
    yield "Image", job.image
    yield "Digest", job.image_digest
    yield "Container", " ".join(filter(None, (job.container_name, job.container_id[:12])))
    yield "Node", job.node
    yield "Launched by", _caller(job.launched_by)
    yield "Killed by", _caller(job.killed_by)
    yield "Trace", trace_link(trace_url, job.trace_id) if job.trace_id else ""


def trace_link(trace_url: str, trace_id: str) -> str:
    """The address of a trace, or its id if nobody has said where traces are."""
    return trace_url.replace("{trace_id}", trace_id) if trace_url else trace_id


def _at(job: "Job", field: str) -> str:
    if not job.HasField(field):  # type: ignore[arg-type]
        return ""
    seconds = seconds_of(getattr(job, field))
    past = f" ({ago(seconds)} ago)" if field != "restart_at" else ""
    return rfc3339(seconds)[:19] + "Z" + past


def _caller(caller: "Caller") -> str:
    return ", ".join(filter(None, (caller.client, caller.peer, caller.user_agent)))
