"""The checks of the file with the history, which is only read, and of the backend for reports."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from observability.secret_signs import shown_setting
from service.diagnosis.case import Case
from service.diagnosis.checks import Check, Finding, error, ok, warning
from service.history.faults import HELP, Fault
from service.history.schema import APPLICATION, VERSION

# The header of an SQLite file: how it begins, and where it has the two numbers that are ours.
_MAGIC, _SIZE, _VERSION_AT, _APPLICATION_AT = b"SQLite format 3\0", 100, 60, 68
_NEARLY_FULL = 100 * 2**20  # bytes
_CONNECT = 5.0  # seconds


def _history(case: Case) -> Iterator[Finding]:
    path = case.settings.history_file
    if path is None:
        yield ok("jobs that have ended are kept in memory: HISTORY_FILE is not set")
        return
    shown = f"HISTORY_FILE={shown_setting(str(path))}"
    if fault := _fault_of(path):
        yield error(
            f"{shown}: cannot be used ({fault}); jobs that end are kept in memory", HELP[fault]
        )
        return
    free = os.statvfs(path.absolute().parent)
    if free.f_bavail * free.f_frsize < _NEARLY_FULL:
        yield warning(f"{shown}: its disk is nearly full", HELP[Fault.FULL])
    else:
        yield ok(f"{shown}: can be written")


def _fault_of(path: Path) -> Fault | None:
    """What keeps a supervisor from using the file, as far as a look shows."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return Fault.NO_FOLDER
    if not os.access(folder, os.W_OK | os.X_OK):
        return Fault.READ_ONLY
    if not path.exists():
        return None
    if not stat.S_ISREG(path.stat().st_mode):
        return Fault.FOREIGN
    if not os.access(path, os.R_OK | os.W_OK):
        return Fault.READ_ONLY
    return _fault_in(path)


def _fault_in(path: Path) -> Fault | None:
    with path.open("rb") as file:
        header = file.read(_SIZE)
    if not header:
        return None
    if not header.startswith(_MAGIC):
        return Fault.BROKEN
    if _number(header, _APPLICATION_AT) not in (0, APPLICATION):
        return Fault.FOREIGN
    return Fault.NEWER if _number(header, _VERSION_AT) > VERSION else None


def _number(header: bytes, at: int) -> int:
    return int.from_bytes(header[at : at + 4], "big")


def _reports(case: Case) -> Iterator[Finding]:
    settings = case.settings
    if not settings.report_crashes:
        yield ok("the backend is not told of jobs that have failed: REPORT_CRASHES is not set")
        return
    host, _, port = settings.crash_target.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT).close()
    except OSError as refused:
        yield error(
            f"{settings.crash_target}: {refused.strerror or refused}: it does not learn of"
            " jobs that have failed",
            "start the backend, or let REPORT_CRASHES_TARGET name it as this process finds it",
        )
    else:
        yield ok(f"{settings.crash_target}: takes connections")


CHECKS = [
    Check("history", "the file with the history", _history, HELP[Fault.OTHER]),
    Check("reports", "where the backend is told of jobs that have failed", _reports),
]
