"""Counting and logging what became of a request, in the one way that there is."""

import time
import traceback
from collections.abc import Sequence
from typing import Literal

from observability.callers import caller
from observability.logs import get_logger
from observability.metrics import Metrics, trace_exemplar
from observability.redaction.redactor import Redactor
from service.errors import Crashed, SupervisorError
from service.jobs.model import Job

log = get_logger(__name__)

_KEEP_NOTHING = Redactor()

Operation = Literal["launch", "kill", "kill_all"]
"""What clients ask for and may fail."""


def account_crash(
    metrics: Metrics,
    operation: Operation,
    job: str,
    identifier: str,
    redact: Redactor = _KEEP_NOTHING,
) -> Crashed:
    """Count and log the exception that is being handled; what its request is answered with."""
    metrics.failed(job, operation, Crashed.reason)
    log.critical(
        "request.crashed",
        operation=operation,
        job=job,
        identifier=identifier,
        traceback=redact(traceback.format_exc()),
        **caller().fields,
    )
    return Crashed()


def account_failure(
    metrics: Metrics,
    operation: Operation,
    job: str,
    identifier: str,
    error: SupervisorError,
    *,
    began: float,
) -> None:
    """Count and log it, once: where it arose. `began` is of `perf_counter`."""
    metrics.failed(job, operation, error.reason)
    tell_failure(operation, job, identifier, error, began=began)


def tell_failure(
    operation: Operation, job: str, identifier: str, error: SupervisorError, *, began: float
) -> None:
    """Log it, though it may be counted elsewhere. `began` is of `perf_counter`."""
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


def account_dedup(
    metrics: Metrics, job: Job, *, differing: Sequence[str] = (), key: str = ""
) -> None:
    """Count and log a launch of what runs; `differing` fields were not as in the first request.

    `key` is the idempotency-key, where that has told it: the job may have ended by now.
    """
    metrics.dedups.labels(metrics.job_label(job.name)).inc()
    tell = log.warning if differing else log.info
    tell(
        "launch.dedup",
        job=job.name,
        identifier=job.identifier,
        differs=bool(differing),
        **({"differing": differing} if differing else {}),
        **({"idempotency_key": key} if key else {}),
        **caller().fields,
    )


def time_launch(metrics: Metrics, outcome: str, *, began: float) -> None:
    """Note what a request took. `began` is of `perf_counter`."""
    took = time.perf_counter() - began
    metrics.launch_duration.labels(outcome).observe(took, trace_exemplar())
