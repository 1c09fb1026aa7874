"""Reports how a request went: failures, crashes, dedups, and how long a launch took."""

import time
import traceback
from collections.abc import Sequence
from typing import Literal

from observability.callers import caller
from observability.logs import get_logger
from observability.metrics import Metrics, trace_exemplar
from observability.redaction.redactor import NO_SECRETS, Redactor
from service.errors import Crashed, SupervisorError
from service.jobs.model import Job

log = get_logger(__name__)

Operation = Literal["launch", "kill", "kill_all"]
"""A request that may fail."""


def record_crash(
    metrics: Metrics,
    operation: Operation,
    job: str,
    identifier: str,
    redact: Redactor = NO_SECRETS,
) -> Crashed:
    """Count and log the exception that is being handled. Return the error for its request."""
    metrics.count_failure(job, operation, Crashed.reason)
    log.critical(
        "request.crashed",
        operation=operation,
        job=job,
        identifier=identifier,
        traceback=redact(traceback.format_exc()),
        **caller().fields,
    )
    return Crashed()


def record_failure(
    metrics: Metrics,
    operation: Operation,
    job: str,
    identifier: str,
    error: SupervisorError,
    *,
    began: float,
) -> None:
    """Count and log a failed request, at the place of the failure. `began` is a `perf_counter`."""
    metrics.count_failure(job, operation, error.reason)
    log_failure(operation, job, identifier, error, began=began)


def log_failure(
    operation: Operation, job: str, identifier: str, error: SupervisorError, *, began: float
) -> None:
    """Log a failed request that is counted elsewhere. `began` is a `perf_counter` value."""
    log.warning(
        "request.failed",
        operation=operation,
        job=job,
        identifier=identifier,
        code=error.code,
        error=error.message,
        seconds=round(time.perf_counter() - began, 3),
        **caller().fields,
    )


def record_dedup(
    metrics: Metrics, job: Job, *, differing: Sequence[str] = (), key: str = ""
) -> None:
    """Count and log a launch that an existing job answers.

    `differing` names the fields that differ from the first request. `key` is the idempotency key
    if that has identified the job, which may have ended already.
    """
    metrics.dedups.labels(metrics.job_label(job.name)).inc()
    log_event = log.warning if differing else log.info
    log_event(
        "launch.dedup",
        job=job.name,
        identifier=job.identifier,
        differs=bool(differing),
        **({"differing": differing} if differing else {}),
        **({"idempotency_key": key} if key else {}),
        **caller().fields,
    )


def record_launch_duration(metrics: Metrics, outcome: str, *, began: float) -> None:
    """Observe the duration of a launch. `began` is a `perf_counter` value."""
    seconds = time.perf_counter() - began
    metrics.launch_duration.labels(outcome).observe(seconds, trace_exemplar())
