"""Faults of the file of the history: how errors show them, and what helps."""

import errno
import os
import sqlite3
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path


class Fault(StrEnum):
    """Why the file cannot be used. Values are labels of metrics."""

    FULL = "full"
    LOCKED = "locked"
    BROKEN = "broken"
    READ_ONLY = "read_only"
    NO_FOLDER = "no_folder"
    NEWER = "newer"
    FOREIGN = "foreign"
    OTHER = "other"


HELP: Mapping[Fault, str] = {
    Fault.FULL: "make room on its disk, or lower HISTORY_MOST",
    Fault.LOCKED: "end the other program that has it open; each supervisor needs a file of its own",
    Fault.BROKEN: "look after the disk, and move away the files that were set aside",
    Fault.READ_ONLY: "let this process write the file and its folder",
    Fault.NO_FOLDER: "make its folder, or correct HISTORY_FILE",
    Fault.NEWER: "run the newer supervisor again, or set HISTORY_FILE to another path",
    Fault.FOREIGN: "set HISTORY_FILE to another path",
    Fault.OTHER: "use a file on a local disk; SQLite's error says more",
}


class Refused(Exception):
    """The file is not used, for a reason that SQLite does not know."""

    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


_OF_SQLITE = {
    sqlite3.SQLITE_FULL: Fault.FULL,
    sqlite3.SQLITE_BUSY: Fault.LOCKED,
    sqlite3.SQLITE_LOCKED: Fault.LOCKED,
    sqlite3.SQLITE_PROTOCOL: Fault.LOCKED,
    sqlite3.SQLITE_CORRUPT: Fault.BROKEN,
    sqlite3.SQLITE_NOTADB: Fault.BROKEN,
    sqlite3.SQLITE_READONLY: Fault.READ_ONLY,
    sqlite3.SQLITE_PERM: Fault.READ_ONLY,
}
_OF_SYSTEM = {
    errno.ENOSPC: Fault.FULL,
    errno.EDQUOT: Fault.FULL,
    errno.EACCES: Fault.READ_ONLY,
    errno.EPERM: Fault.READ_ONLY,
    errno.EROFS: Fault.READ_ONLY,
    errno.ENOENT: Fault.NO_FOLDER,
    errno.ENOTDIR: Fault.NO_FOLDER,
}
# The codes of SQLite have details above these bits.
_CODE = 0xFF


def fault_of(error: Exception, path: Path) -> Fault:
    """The fault that an error of the file shows."""
    if isinstance(error, Refused):
        return error.fault
    if isinstance(error, OSError):
        return _OF_SYSTEM.get(error.errno or 0, Fault.OTHER)
    code = getattr(error, "sqlite_errorcode", 0) & _CODE
    return _OF_SQLITE.get(code) or (Fault.FULL if _is_full(path.parent) else Fault.OTHER)


def _is_full(folder: Path) -> bool:
    """Whether its disk has no room. SQLite says `disk I/O error` for some of the writes."""
    try:
        return os.statvfs(folder).f_bavail == 0
    except OSError:
        return False
