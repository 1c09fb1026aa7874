"""Reports on a job: its adoption, its pauses, and its exit as a span and a log event."""

import time
from signal import Signals

from observability.logs import get_logger
from observability.spans import emit_span, fail_span, links_to, trace_environment
from service.engine.workloads import Health, Inspection
from service.jobs.model import FAILED_OUTCOMES, Job, Outcome
from service.jobs.observations import Closed, EndReason

log = get_logger(__name__)


def log_adoption(job: Job, seen: Inspection) -> None:
    """Log that a job whose container runs already has been taken over."""
    log.info(
        "job.adopted",
        job=job.name,
        identifier=job.identifier,
        container_id=seen.id,
        **({"node": seen.node} if seen.node else {}),
    )
    if seen.paused:
        log_pause(job, paused=True)


def log_closed_elsewhere(job: Job) -> None:
    """Log that somebody else has removed the container of a job."""
    log.info(
        "job.closed_elsewhere",
        job=job.name,
        identifier=job.identifier,
        container_id=job.workload_id,
    )


def log_pause(job: Job, *, paused: bool) -> None:
    """Log that a third party has paused a job, or has unpaused it."""
    if paused:
        log.warning("job.paused", job=job.name, identifier=job.identifier)
    else:
        log.info("job.unpaused", job=job.name, identifier=job.identifier)


def log_health(job: Job, seen: Inspection, *, output: str) -> None:
    """Log that a job has become healthy or unhealthy.

    `output` is what the last probe has printed, free of secrets.
    """
    if seen.health is Health.UNHEALTHY:
        log.warning(
            "job.unhealthy",
            job=job.name,
            identifier=job.identifier,
            container_id=seen.id,
            exit_code=seen.probe.exit_code if seen.probe else None,
            output=output.splitlines(),
        )
    else:
        log.info(
            "job.healthy",
            job=job.name,
            identifier=job.identifier,
            container_id=seen.id,
            seconds=round(max(0.0, time.time() - seen.started_at), 3),
        )


def log_not_ready(job: Job, reason: str) -> None:
    """Log that a job is ended because it has not become healthy in its time."""
    log.warning(
        "job.not_ready",
        job=job.name,
        identifier=job.identifier,
        container_id=job.workload_id,
        reason=reason,
    )


def log_back_off(job: Job, exited: Closed, outcome: Outcome, *, wait: float) -> None:
    """Log that a run of a job has ended, and that it is started again."""
    began = exited.started_at or job.started_at or exited.at
    log.warning(
        "job.backing_off",
        job=job.name,
        identifier=job.identifier,
        container_id=job.workload_id,
        outcome=outcome.value,
        exit_code=exited.exit_code,
        oom_killed=exited.oom_killed,
        seconds=round(max(0.0, exited.at - began), 3),
        attempt=job.restarts.in_window,
        restarts=job.restarts.total,
        wait=round(wait, 3),
        **_reason(exited.ended_for),
        **({"node": job.node} if job.node else {}),
        **({"output": exited.last_lines.splitlines()} if exited.last_lines else {}),
    )


def report_exit(job: Job, *, not_restarted: str = "") -> None:
    """Log the exit of a job that is gone, and emit its span.

    The span has a trace of its own,
    because a job may run for weeks. It links to the launch, whose context is in a label of the
    container, and to the kill.
    """
    assert job.outcome is not None
    assert job.ended_at is not None
    began = job.started_at or job.ended_at
    links = links_to(job.traceparent, trace_environment().get("TRACEPARENT"))
    failed = job.outcome in FAILED_OUTCOMES
    with emit_span("job", _attributes(job), began=began, ended=job.ended_at, links=links) as span:
        if failed:
            fail_span(span, job.outcome)
        by_others = job.signal is not None
        log_event = log.warning if failed or by_others else log.info
        log_event(
            "job.exited",
            job=job.name,
            identifier=job.identifier,
            container_id=job.workload_id,
            outcome=job.outcome.value,
            exit_code=job.exit_code,
            oom_killed=job.oom_killed,
            # The Engine may report an instant exit with a time before the start.
            seconds=round(max(0.0, job.ended_at - began), 3),
            **_reason(job.ended_for),
            **({"restarts": job.restarts.total} if job.restart else {}),
            **({"not_restarted": not_restarted} if not_restarted else {}),
            **({"node": job.node} if job.node else {}),
            **({"by": "others"} if by_others else {}),
            **({"signal": _name(job.signal)} if job.signal else {}),
            **({"output": job.last_lines.splitlines()} if job.last_lines else {}),
            **job.killer.fields,
        )


def _reason(reason: EndReason) -> dict[str, str]:
    """The facts about an exit that the outcome leaves out."""
    return {"reason": reason} if reason == "unhealthy" else {}


def _name(signal: int) -> str:
    """The name of a signal, such as SIGKILL, or its number if it has none."""
    try:
        return Signals(signal).name
    except ValueError:
        return str(signal)


def _attributes(job: Job) -> dict[str, str | int]:
    attributes: dict[str, str | int | None] = {
        "supervisor.job.name": job.name,
        "supervisor.job.identifier": job.identifier,
        "supervisor.job.kind": job.kind.value,
        "supervisor.job.launch_id": job.launch_id,
        "supervisor.job.outcome": job.outcome,
        "supervisor.job.exit_code": job.exit_code,
        "supervisor.kill.peer": job.killer.peer or None,
        "supervisor.job.client": job.client or None,
        "supervisor.kill.user_agent": job.killer.user_agent or None,
        "supervisor.kill.client": job.killer.client or None,
        "container.id": job.workload_id,
        "supervisor.node": job.node or None,
    }
    return {key: value for key, value in attributes.items() if value is not None}
