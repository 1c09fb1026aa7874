"""The columns of tables of jobs."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.cli.tables import READABLE, Column
from service.cli.times import ago, duration
from service.client.messages import seconds_of

if TYPE_CHECKING:
    from service._generated.supervisor.v1.observer_pb2 import Job

_FAILED = "red"
_COLOURS = {
    **dict.fromkeys(("running", "success"), "green"),
    **dict.fromkeys(("starting", "paused", "stopping", "backing_off", "killed"), "yellow"),
}


def state_of(job: "Job") -> str:
    """Its state; of a job that has ended, how it has ended."""
    if job.state == "gone":
        return outcome_of(job)
    if job.unhealthy:
        return f"{job.state} (unhealthy)"
    if job.pulling and job.state == "starting":
        return f"{job.state} (pulling)"
    if job.state == "backing_off" and job.HasField("restart_at"):
        return f"{job.state} ({duration(seconds_of(job.restart_at) - time.time())})"
    return job.state


def outcome_of(job: "Job") -> str:
    """Its outcome, with the exit code unless that says no more; `gone` if that is unknown."""
    informs = job.HasField("exit_code") and job.outcome not in ("success", "ended")
    return f"{job.outcome} ({job.exit_code})" if informs else job.outcome or "gone"


def colour_of(job: "Job") -> str:
    """The colour of its state."""
    if job.unhealthy:
        return _FAILED
    return _COLOURS.get(job.outcome if job.state == "gone" else job.state, _FAILED)


def ran_for(job: "Job") -> str:
    """How long it has run."""
    if not job.HasField("started"):
        return ""
    end = seconds_of(job.ended) if job.HasField("ended") else time.time()
    return duration(end - seconds_of(job.started))


def last_line(job: "Job") -> str:
    """The last line that says something."""
    return next((line for line in reversed(job.last_lines.splitlines()) if line.strip()), "")


JOBS: Sequence[Column["Job"]] = (
    Column("IDENTIFIER", lambda job: job.identifier, least=READABLE),
    Column("JOB", lambda job: job.name),
    Column("STATE", state_of, colour_of),
    Column("RESTARTS", lambda job: str(job.restarts)),
    Column("AGE", lambda job: ago(seconds_of(job.created)) if job.HasField("created") else ""),
    Column("KIND", lambda job: job.kind, wide=True),
    Column("LAUNCH", lambda job: job.launch_id, wide=True),
    Column("CONTAINER", lambda job: job.container_name or job.container_id[:12], wide=True),
    Column("NODE", lambda job: job.node, wide=True),
    Column("CLIENT", lambda job: job.launched_by.client, wide=True),
    Column("IMAGE", lambda job: job.image, wide=True),
)
HISTORY: Sequence[Column["Job"]] = (
    Column("IDENTIFIER", lambda job: job.identifier, least=READABLE),
    Column("JOB", lambda job: job.name),
    Column("OUTCOME", outcome_of, colour_of),
    Column("ENDED", lambda job: ago(seconds_of(job.ended)) if job.HasField("ended") else ""),
    Column("RAN", ran_for),
    Column("RESTARTS", lambda job: str(job.restarts), wide=True),
    Column("LAUNCH", lambda job: job.launch_id, wide=True),
    Column("NODE", lambda job: job.node, wide=True),
    Column("CLIENT", lambda job: job.launched_by.client, wide=True),
    Column("IMAGE", lambda job: job.image, wide=True),
    Column("LAST LINE", last_line),
)
