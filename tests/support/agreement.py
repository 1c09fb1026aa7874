"""Whether the list, the metrics and the Engine say the same, and what readiness says meanwhile."""

import docker

from service.app.metric_labels import LABELS
from tests.support import containers
from tests.support.line import Line
from tests.support.supervised import Supervised, eventually

# "within 5 s", tested generously.
_FALL_SECONDS = 12.0
_BACK_SECONDS = 30.0
# For what is cleared away behind an Engine that has just been through something: what it has also
# refused to remove, the next comparison finds, after 30 s, or the one after that if removals of an
# earlier one are still under way.
_AGREE_SECONDS = 75.0


def await_fall(supervised: Supervised, *, within: float = _FALL_SECONDS) -> None:
    """Wait until it says that it is not ready."""
    eventually(lambda: "NOT_SERVING" == supervised.health(), within=within)


def await_return(supervised: Supervised) -> None:
    """Wait until it says that it is ready."""
    eventually(lambda: "SERVING" == supervised.health(), within=_BACK_SECONDS)


def compare(supervised: Supervised, line: Line) -> None:
    """Let it compare itself with the Engine, as it does on each new connection."""
    line.cut()
    await_fall(supervised)
    line.mend()
    await_return(supervised)


def agree(supervised: Supervised, client: docker.DockerClient, *running: str) -> None:
    """List, metrics and Engine say the same, and nothing is left of anything else."""
    expected = sorted(running)
    eventually(lambda: supervised.has_only(*running), within=_AGREE_SECONDS)
    assert {"running"} >= {job.status for job in supervised.jobs()}
    eventually(lambda: expected == containers.live(client), within=_AGREE_SECONDS)
    eventually(lambda: len(expected) == len(containers.everything(client)), within=_AGREE_SECONDS)
    assert len(expected) == supervised.metric("supervisor_jobs_running")
    assert len(expected) == supervised.metric("supervisor_jobs")
    assert len(expected) == supervised.metric("supervisor_jobs", state="running")


def settled(supervised: Supervised, client: docker.DockerClient) -> list[str]:
    """The identifiers of what runs, sorted, once list, metrics and Engine say the same of it.

    Unlike `agree`, for what may still end: a stop that a killed supervisor has asked for goes on.
    """
    eventually(lambda: _is_settled(supervised, client), within=_AGREE_SECONDS)
    return supervised.running()


def _is_settled(supervised: Supervised, client: docker.DockerClient) -> bool:
    jobs = supervised.jobs()
    running = sorted(job.identifier for job in jobs)
    steady = {"running"} >= {job.status for job in jobs} and supervised.has_only(*running)
    really = containers.live(client), len(containers.everything(client))
    counted = supervised.metric("supervisor_jobs_running")
    return steady and (running, len(running)) == really and len(running) == counted


def exits(supervised: Supervised) -> dict[str, float]:
    """How jobs have ended so far, where any have."""
    counts = {
        outcome: supervised.metric("supervisor_exits_total", outcome=outcome)
        for outcome in LABELS.exit_outcomes
    }
    return {outcome: count for outcome, count in counts.items() if count}
