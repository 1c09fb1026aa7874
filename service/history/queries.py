"""The questions that the file is asked. Each of them reads few rows, by an index.

That of the ends since a time reads rows of a day more, since no index has the time of an end.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from service.access.clients import JobScope
from service.history.kept import Entry, Position
from service.history.rows import COLUMNS, entry_of
from service.jobs.model import FAILED_OUTCOMES, State
from service.jobs.wanted import EVERY_JOB, Wanted

# Up to this many jobs of a prefix are sorted. Of more, reading the newest first soon finds some.
_FEW = 2000
# A job is kept after it was created and has ended. Clocks of machines may differ (microseconds).
_CLOCKS = 86_400 * 1_000_000
_FAILED = sorted(outcome.value for outcome in FAILED_OUTCOMES)
_LAST = "\U0010ffff"
_ROW = ", ".join(f"ended.{column}" for column in COLUMNS)
# All names, one step in an index for each.
_NAMES = """
    WITH RECURSIVE names (name) AS (
        SELECT min(name) FROM ended
        UNION ALL SELECT (SELECT min(name) FROM ended WHERE name > names.name) FROM names
        WHERE names.name IS NOT NULL
    ) SELECT name FROM names WHERE name IS NOT NULL
"""


def find(
    connection: sqlite3.Connection, *, launch_id: str, identifier: str, scope: JobScope
) -> Entry | None:
    """One launch, or the newest of an identifier, of which there may be a hundred thousand."""
    if launch_id:
        where, values = " WHERE launch_id = ?", [launch_id]
    else:
        where, values = " INDEXED BY by_identifier WHERE identifier = ?", [identifier]
    names = _names(connection, EVERY_JOB, scope)
    if names is not None:
        where += f" AND name IN ({_marks(names)})"
        values += names
    query = f"SELECT {_ROW} FROM ended{where} ORDER BY position DESC LIMIT 1"  # noqa: S608
    return next(map(entry_of, connection.execute(query, values).fetchall()), None)


def page(
    connection: sqlite3.Connection,
    *,
    wanted: Wanted,
    scope: JobScope,
    before: Position,
    leave_out: Collection[str],
    most: int,
) -> Sequence[Entry]:
    """The newest jobs that are wanted before a place, without some launches."""
    if wanted.state not in (None, State.GONE):
        return []
    found = _newest_first(connection, _Question(connection, wanted, scope), before, most)
    return list(islice((each for each in found if each.job.launch_id not in leave_out), most))


def _newest_first(
    connection: sqlite3.Connection, question: "_Question", before: Position, most: int
) -> Iterator[Entry]:
    """Part by part, because an open statement would keep the log from being emptied."""
    while True:
        rows = connection.execute(*question.part(before, most)).fetchall()
        yield from map(entry_of, rows)
        if len(rows) < most:
            return
        before = rows[-1][0]


class _Question:
    """The conditions on a row, and the index that fits them."""

    def __init__(self, connection: sqlite3.Connection, wanted: Wanted, scope: JobScope) -> None:
        self._conditions, self._values = ["position < ?"], list[Any]()
        names, prefix = _names(connection, wanted, scope), wanted.identifier_prefix
        if names is not None:
            self._add(f"name IN ({_marks(names)})", *names)
        if prefix:
            self._add("identifier >= ? AND identifier < ?", prefix, prefix + _LAST)
        if wanted.outcome:
            self._add("outcome = ?", wanted.outcome.value)
        if wanted.failed:
            self._add(f"outcome IN ({_marks(_FAILED)})", *_FAILED)
        self._add_since("created_at", wanted.since)
        self._add_since("ended_at", wanted.ended_since)
        self._index = self._best_index(connection, names, prefix, wanted)

    def part(self, before: Position, most: int) -> tuple[str, Sequence[Any]]:
        """The statement for the rows before a place, and its values."""
        where = " AND ".join(self._conditions)
        places = (
            f"SELECT position FROM ended{self._index} WHERE {where}"  # noqa: S608
            " ORDER BY position DESC LIMIT ?"
        )
        text = f"SELECT {_ROW} FROM ended WHERE position IN ({places}) ORDER BY position DESC"  # noqa: S608
        return text, (before, *self._values, most)

    def _add(self, condition: str, *values: Any) -> None:
        self._conditions.append(condition)
        self._values += values

    def _add_since(self, column: str, at: float | None) -> None:
        if at is not None:
            earliest = int(at * 1_000_000) - _CLOCKS
            self._add(f"{column} >= ? AND position >= ?", at, earliest)

    def _best_index(
        self,
        connection: sqlite3.Connection,
        names: Sequence[str] | None,
        prefix: str,
        wanted: Wanted,
    ) -> str:
        if prefix and _are_few(connection, prefix):
            return " INDEXED BY by_identifier"
        others = bool(prefix or wanted.since or wanted.ended_since or wanted.failed)
        if names is not None and len(names) == 1 and not others and not wanted.outcome:
            return " INDEXED BY by_name"
        if wanted.outcome and names is None and not others:
            return " INDEXED BY by_outcome"
        return " INDEXED BY by_filter"


def _names(connection: sqlite3.Connection, wanted: Wanted, scope: JobScope) -> Sequence[str] | None:
    """The names that are wanted and allowed; None if all are."""
    if not wanted.name and scope.is_everything:
        return None
    names = [name for (name,) in connection.execute(_NAMES).fetchall()]
    return [name for name in names if wanted.fits_name(name) and scope.allows(name)]


def _marks(values: Sequence[str]) -> str:
    """A place in a statement for each of the values."""
    return ", ".join("?" * len(values))


def _are_few(connection: sqlite3.Connection, prefix: str) -> bool:
    inside = "SELECT 1 FROM ended WHERE identifier >= ? AND identifier < ? LIMIT ?"
    counted = connection.execute(
        f"SELECT count(*) FROM ({inside})",  # noqa: S608
        (prefix, prefix + _LAST, _FEW),
    )
    few: bool = counted.fetchone()[0] < _FEW
    return few
