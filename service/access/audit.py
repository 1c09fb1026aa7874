"""The audit: one event for each call that changes something, or was refused to."""

from asyncio import CancelledError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from observability.callers import caller
from observability.logs import always_logging
from service.access.current_call import current_call
from service.errors import Denied, SupervisorError

# A logger of its own, so that its events can be sent elsewhere.
log = always_logging("audit")

# A launch that a running job answers: it changes nothing, and most launches are such.
DEDUP = "dedup"


@dataclass(slots=True)
class Record:
    """What the audit says about a call."""

    job: str
    identifier: str
    outcome: str = SupervisorError.reason


@contextmanager
def audited(job: str, identifier: str) -> Iterator[Record]:
    """Log how the block has ended: with the outcome that it notes, or with an error's reason."""
    record = Record(job, identifier)
    try:
        yield record
    except Denied:  # logged where it becomes the answer
        raise
    except BaseException as error:
        record.outcome = _outcome(error)
        audit_call(record)
        raise
    if record.outcome != DEDUP:
        audit_call(record)


def _outcome(error: BaseException) -> str:
    """The outcome of a failed call. A call whose client went away may still be carried out."""
    if isinstance(error, CancelledError):
        return "cancelled"
    return error.reason if isinstance(error, SupervisorError) else SupervisorError.reason


def audit_call(record: Record) -> None:
    """Log what has become of the current call. Without an access file there is none."""
    if call := current_call():
        log_call(call.method, call.certificate(), record)


def log_call(
    method: str, certificate: Sequence[str], record: Record, *, refused: bool = False
) -> None:
    """Log a call that changes something, or was refused to."""
    log_event = log.warning if refused else log.info
    log_event(
        "call.audited",
        method=method,
        outcome=record.outcome,
        **({"job": record.job} if record.job else {}),
        **({"identifier": record.identifier} if record.identifier else {}),
        **({"certificate": ", ".join(certificate)} if certificate else {}),
        **caller().fields,
    )
