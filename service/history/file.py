"""The SQLite file of the history: written and kept small by one thread, read by another.

Nothing else in this process may open the file: if any of its descriptors is closed, SQLite loses
its locks.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from service.history.kept import Entry, Position
from service.history.opening import BUSY, connect, prepare, stat_of, take_lock
from service.history.rows import COLUMNS, row_of

T = TypeVar("T")

SIDES = ("", "-wal", "-shm")
# Rows that one step of pruning removes, and pages that it gives back to the disk.
_STEP = 5000
_PAGES = 256
# The part of all rows that goes at once if there are too many: one by one, a row would take as long
# to remove as to write.
_PART = 20
_ALWAYS: Position = 2**62
_INSERT = f"INSERT INTO ended ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608


class HistoryFile:
    """An open file, with the lock that keeps other supervisors out.

    Whatever it does may raise `OSError` or `sqlite3.Error`.
    """

    def __init__(self, path: Path) -> None:
        """Raises `Refused`, too."""
        self._path = path
        self._lock = take_lock(path)
        try:
            self._writer = connect(path)
            try:
                self.count, self.last = prepare(self._writer, path)
                self._identity = self._seen()
            except BaseException:
                self._writer.close()
                raise
        except BaseException:
            os.close(self._lock)
            raise
        self._reader: sqlite3.Connection | None = None
        self._reading = threading.Lock()
        self._closed = False

    @property
    def in_place(self) -> bool:
        """Whether nobody has removed or replaced the file, or what belongs to it."""
        return self._identity == self._seen()

    @property
    def size(self) -> int:
        """Of the file and its log (bytes)."""
        return sum(seen.st_size for side in SIDES if (seen := stat_of(self._path, side)))

    def write(self, entries: Sequence[Entry]) -> None:
        """Write jobs, in one transaction. A job that is in the file already has ended again."""
        rows, last = [], self.last
        for position, job in entries:
            last = max(last + 1, position)
            rows.append(row_of(last, job))
        ids = [(job.launch_id,) for _, job in entries]
        with _Transaction(self._writer):
            again = self._writer.executemany("DELETE FROM ended WHERE launch_id = ?", ids).rowcount
            self._writer.executemany(_INSERT, rows)
        self.count += len(rows) - max(0, again)
        self.last = last

    def prune(self, *, most: int, before: Position) -> bool:
        """Remove some of the rows that are too many or too old; whether there is more to do."""
        too_many = max(0, self.count - most)
        if not (too_many or before):
            return False
        if too_many:
            too_many = min(_STEP, too_many + most // _PART)
        with _Transaction(self._writer):
            removed = self._remove(_ALWAYS, too_many) + self._remove(before, _STEP - too_many)
        self.count -= removed
        return self._shrink() or removed == _STEP

    def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer to a question, which has to end its statements. Any thread may ask."""
        with self._reading:
            if self._closed:
                raise sqlite3.ProgrammingError("closed")
            if self._reader is None:
                self._reader = _connect_reader(self._path)
            return question(self._reader)

    def close(self) -> None:
        """Close it. What is in the log goes into the file."""
        with self._reading, suppress(sqlite3.Error):
            self._closed = True
            if self._reader is not None:
                self._reader.close()
        with suppress(sqlite3.Error):
            self._writer.close()
        self._remove_orphans()
        os.close(self._lock)

    def _remove_orphans(self) -> None:
        """Remove the log of a file that is gone: SQLite would take it for that of the next one."""
        before, now = self._identity, self._seen()
        if before[0] == now[0]:
            return
        for side, ours, seen in list(zip(SIDES, before, now, strict=True))[1:]:
            if seen and seen == ours:
                with suppress(OSError):
                    self._path.with_name(self._path.name + side).unlink()

    def _remove(self, before: Position, most: int) -> int:
        oldest = "SELECT position FROM ended WHERE position < ? ORDER BY position LIMIT ?"
        delete = f"DELETE FROM ended WHERE position IN ({oldest})"  # noqa: S608
        return self._writer.execute(delete, (before, most)).rowcount

    def _shrink(self) -> bool:
        """Give some pages back to the disk; whether more are left. Few are kept, to be used."""
        free: int = self._writer.execute("PRAGMA freelist_count").fetchone()[0]
        if free > _PAGES:
            self._writer.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
        return free > _PAGES

    def _seen(self) -> Sequence[tuple[int, int] | None]:
        found = [stat_of(self._path, side) for side in SIDES]
        return [each and (each.st_dev, each.st_ino) for each in found]


def _connect_reader(path: Path) -> sqlite3.Connection:
    reader = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",  # it must not make a file
        uri=True,
        timeout=BUSY,
        isolation_level=None,
        check_same_thread=False,
    )
    reader.execute("PRAGMA query_only = ON")
    return reader


class _Transaction:
    """A transaction that takes the lock on writing first: later it could not wait for it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
