"""Counting and logging a request that failed, in the one way that there is."""

import time
import traceback

from observability.logs import get_logger
from observability.metrics import Metrics
from observability.redaction import Redactor
from service.errors import Crashed, SupervisorError

log = get_logger(__name__)

_SHOWN_CHARACTERS = 512
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
        job=job[:_SHOWN_CHARACTERS],
        identifier=identifier[:_SHOWN_CHARACTERS],
        code=error.code,
        error=error.message,
        seconds=round(time.perf_counter() - began, 3),
    )
