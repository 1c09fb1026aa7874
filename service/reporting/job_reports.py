"""What becomes of a job: how it is found, its pauses, and its life as a span and a log line."""

from signal import Signals

from observability.logs import get_logger
from observability.spans import fail_span, links_to, past_span, trace_environment
from service.engine.base import Inspection
from service.jobs.model import FAILED_OUTCOMES, Job

log = get_logger(__name__)


def tell_adoption(job: Job, seen: Inspection) -> None:
    """Tell of a job whose container ran already, as it was found."""
    log.info("job.adopted", job=job.name, identifier=job.identifier, container_id=seen.id)
    if seen.paused:
        tell_pause(job, paused=True)


def tell_pause(job: Job, *, paused: bool) -> None:
    """Tell that a third party holds a job, which then does nothing, or lets it go on."""
    if paused:
        log.warning("job.paused", job=job.name, identifier=job.identifier)
    else:
        log.info("job.unpaused", job=job.name, identifier=job.identifier)


def tell_life(job: Job, *, oom_killed: bool, output: str) -> None:
    """Tell of a job that is gone; `output` is the end of what it said, free of secrets.

    The span is a trace of its own, since a job may outlive every trace by weeks. It is linked to
    the launch, whose context the container's label has kept, and to the kill that ended it.
    """
    assert job.outcome is not None
    assert job.ended_at is not None
    began = job.started_at or job.ended_at
    links = links_to(job.traceparent, trace_environment().get("TRACEPARENT"))
    failed = job.outcome in FAILED_OUTCOMES
    with past_span("job", _attributes(job), began=began, ended=job.ended_at, links=links) as span:
        if failed:
            fail_span(span, job.outcome)
        by_others = job.signal is not None
        tell = log.warning if failed or by_others else log.info
        tell(
            "job.exited",
            job=job.name,
            identifier=job.identifier,
            container_id=job.workload_id,
            outcome=job.outcome.value,
            exit_code=job.exit_code,
            oom_killed=oom_killed,
            # The Engine may date an instant exit before its start.
            seconds=round(max(0.0, job.ended_at - began), 3),
            **({"by": "others"} if by_others else {}),
            **({"signal": _name(job.signal)} if job.signal else {}),
            **({"output": output.splitlines()} if output else {}),
            **job.killer.fields,
        )


def _name(signal: int) -> str:
    """SIGKILL for 9; the number itself where it has no name."""
    try:
        return Signals(signal).name
    except ValueError:
        return str(signal)


def _attributes(job: Job) -> dict[str, str | int]:
    told: dict[str, str | int | None] = {
        "supervisor.job.name": job.name,
        "supervisor.job.identifier": job.identifier,
        "supervisor.job.kind": job.kind.value,
        "supervisor.job.launch_id": job.launch_id,
        "supervisor.job.outcome": job.outcome,
        "supervisor.job.exit_code": job.exit_code,
        "supervisor.kill.peer": job.killer.peer or None,
        "supervisor.kill.user_agent": job.killer.user_agent or None,
        "container.id": job.workload_id,
    }
    return {key: value for key, value in told.items() if value is not None}
