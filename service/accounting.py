"""Counting and logging a request that failed, in the one way that there is."""

from observability.logs import get_logger
from observability.metrics import Metrics
from service.errors import SupervisorError

log = get_logger(__name__)

_SHOWN_CHARACTERS = 512


def account_failure(
    metrics: Metrics, operation: str, job: str, identifier: str, error: SupervisorError
) -> None:
    """Count and log it, unless that was done where it arose."""
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
    )
