"""Counting and logging what became of a request, in the one way that there is."""

import time
import traceback

from observability.logs import get_logger
from observability.metrics import Metrics, trace_exemplar
from observability.redaction import Redactor
from service.errors import Crashed, SupervisorError
from service.job import Job

log = get_logger(__name__)

_KEEP_NOTHING = Redactor()


def account_crash(
    metrics: Metrics, operation: str, job: str, redact: Redactor = _KEEP_NOTHING
) -> Crashed:
    """Count and log the exception that is being handled; what its request is answered with."""
    metrics.failed(job, operation, Crashed.reason)
    log.critical("request.crashed", operation=operation, traceback=redact(traceback.format_exc()))
    return Crashed()


def account_failure(
    metrics: Metrics,
    operation: str,
    job: str,
    identifier: str,
    error: SupervisorError,
    *,
    began: float,
) -> None:
    """Count and log it, unless that was done where it arose. `began` is of `perf_counter`."""
    if not error.counted:
        return
    metrics.failed(job, operation, error.reason)
    log.warning(
        "request.failed",
        operation=operation,
        job=job,
        identifier=identifier,
        code=error.code,
        error=error.message,
        seconds=round(time.perf_counter() - began, 3),
    )


def account_dedup(metrics: Metrics, job: Job, *, differs: bool, key: str = "") -> None:
    """Count and log a launch of what runs; `differs` if it was not asked for in the same words.

    `key` is the idempotency-key, where that has told it: the job may have ended by now.
    """
    metrics.dedups.labels(metrics.job_label(job.name)).inc()
    tell = log.warning if differs else log.info
    tell(
        "launch.dedup",
        job=job.name,
        identifier=job.identifier,
        differs=differs,
        **({"idempotency_key": key} if key else {}),
    )


def time_launch(metrics: Metrics, outcome: str, *, began: float) -> None:
    """Note what a request took. `began` is of `perf_counter`."""
    took = time.perf_counter() - began
    metrics.launch_duration.labels(outcome).observe(took, trace_exemplar())
