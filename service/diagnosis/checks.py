"""Checks as data, what they find, and how each is made within its time."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Generic, TypeVar

from observability.escaping import printable
from service.errors import EngineError, StartError

T = TypeVar("T")

# The longest text from another program that a finding quotes (characters).
_MOST_OF_A_TEXT = 600


class Status(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"  # it works, and may not for long or not in all cases
    ERROR = "error"  # something does not work
    SKIPPED = "skipped"  # it could not be looked at


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding of a check: each text is one line. An empty `subject` means everything."""

    status: Status
    message: str
    help: str = ""
    subject: str = ""
    check: str = ""


class Skip(Exception):
    """A check cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """A check. `look` may raise `Skip`, `StartError` and `EngineError`s."""

    name: str
    looks_at: str
    look: Callable[[T], Iterable[Finding]]
    help: str = ""  # for errors that are raised
    within: float = 15.0  # seconds


def ok(message: str, subject: str = "") -> Finding:
    """Nothing is wrong."""
    return Finding(Status.OK, message, "", subject)


def warning(message: str, helps: str, subject: str = "") -> Finding:
    """It works, but perhaps not for long, or not in all cases."""
    return Finding(Status.WARNING, message, helps, subject)


def error(message: str, helps: str, subject: str = "") -> Finding:
    """Something does not work."""
    return Finding(Status.ERROR, message, helps, subject)


def make(check: Check[T], case: T) -> Sequence[Finding]:
    """The findings of a check. An error of the check is a finding, too."""
    return [_as_lines(replace(each, check=check.name)) for each in _look(check, case)]


def make_within(check: Check[T], case: T) -> Sequence[Finding]:
    """The same, within the check's time. One that takes longer is abandoned."""
    found: list[Finding] = []
    thread = threading.Thread(target=lambda: found.extend(make(check, case)), daemon=True)
    try:
        thread.start()
    except RuntimeError:
        reason = "this process may start no more threads"
        return [Finding(Status.SKIPPED, reason, check=check.name)]
    thread.join(check.within)
    if thread.is_alive():
        late = f"{check.looks_at}: there was no answer within {check.within:g} s"
        return [replace(error(late, check.help), check=check.name)]
    return found


def _look(check: Check[T], case: T) -> Iterator[Finding]:
    try:
        yield from check.look(case)
    except Skip as skipped:
        yield Finding(Status.SKIPPED, str(skipped))
    except (StartError, EngineError) as wrong:
        yield error(str(wrong), check.help)
    except Exception as crash:  # noqa: BLE001 - a defect of ours must not hide the other findings
        kind = type(crash).__name__  # the text may have a secret
        yield error(f"{check.looks_at}: cannot be checked ({kind})", "please report this defect")


def _as_lines(finding: Finding) -> Finding:
    return replace(
        finding,
        message=printable(finding.message[:_MOST_OF_A_TEXT]),
        help=printable(finding.help),
        subject=printable(finding.subject[:_MOST_OF_A_TEXT]),
    )
