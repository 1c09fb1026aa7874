"""Opens the file for writing: its lock, its settings, a check, and its tables."""

import fcntl
import os
import sqlite3
import stat
from pathlib import Path

from observability.secret_signs import unless_secret
from service.history.faults import Fault, Refused
from service.history.kept import Position
from service.history.schema import migrate, version_of

# How long another program's transaction is waited for (seconds).
BUSY = 1.0
# The size to which the write-ahead log shrinks once nobody reads an older state any more (bytes).
_LOG_KEPT = 4 * 2**20
_PRIVATE = 0o600


def take_lock(path: Path) -> int:
    """Lock the file against other supervisors; a descriptor that holds the lock while it is open.

    The lock is on a file beside it: SQLite's own locks belong to a process, and would be lost.
    """
    lock = os.open(path.with_name(path.name + "-lock"), os.O_RDWR | os.O_CREAT, _PRIVATE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Refused(Fault.LOCKED, "another supervisor has it open") from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may write. The file is made if there is none."""
    seen = stat_of(path)
    if seen is None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE))
    elif not stat.S_ISREG(seen.st_mode):
        raise Refused(Fault.FOREIGN, "it is no regular file")
    return sqlite3.connect(path, timeout=BUSY, isolation_level=None)


def prepare(connection: sqlite3.Connection, path: Path) -> tuple[int, Position]:
    """Make the file ready to be written; how many rows it has, and the place of the newest."""
    if version_of(connection) == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise Refused(Fault.OTHER, "its file system does not allow SQLite's write-ahead log")
    # A crash of the process loses no commit; a crash of the machine may lose the last ones.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_KEPT}")
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise Refused(Fault.BROKEN, found)
    migrate(connection, unless_secret(str(path)))
    count, last = connection.execute("SELECT count(*), max(position) FROM ended").fetchone()
    return count, last or 0


def stat_of(path: Path, side: str = "") -> os.stat_result | None:
    """The `stat` of the file, or of one that belongs to it; None if it is not there."""
    try:
        return path.with_name(path.name + side).stat()
    except FileNotFoundError:
        return None
