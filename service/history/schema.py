"""The tables of the file, and their migration from older versions."""

import sqlite3

from observability.logs import get_logger
from service.history.faults import Fault, Refused

log = get_logger(__name__)

# Marks the file as ours (PRAGMA application_id): "Area".
APPLICATION = 0x41726561
# The steps from each version (PRAGMA user_version) to the next. A new file takes all of them.
_STEPS = (
    (
        """CREATE TABLE ended (
            position INTEGER PRIMARY KEY,
            launch_id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            identifier TEXT NOT NULL,
            kind TEXT NOT NULL,
            outcome TEXT,
            created_at REAL NOT NULL,
            started_at REAL,
            ended_at REAL,
            exit_code INTEGER,
            oom_killed INTEGER NOT NULL,
            signal INTEGER,
            restarts INTEGER NOT NULL,
            workload_id TEXT,
            workload_name TEXT NOT NULL,
            node TEXT NOT NULL,
            image TEXT NOT NULL,
            image_digest TEXT NOT NULL,
            traceparent TEXT,
            launcher TEXT NOT NULL,
            launcher_peer TEXT NOT NULL,
            launcher_user_agent TEXT NOT NULL,
            killer TEXT NOT NULL,
            killer_peer TEXT NOT NULL,
            killer_user_agent TEXT NOT NULL,
            last_lines TEXT NOT NULL
        )""",
        "CREATE INDEX by_identifier ON ended (identifier, position)",
        "CREATE INDEX by_name ON ended (name, position)",
        "CREATE INDEX by_outcome ON ended (outcome, position)",
    ),
    (
        "ALTER TABLE ended ADD COLUMN ended_for TEXT NOT NULL DEFAULT ''",
        # It has all columns of the filters but `ended_at`: a scan of it reads a tenth of the table.
        "CREATE INDEX by_filter ON ended (position, name, identifier, outcome, created_at)",
    ),
)
VERSION = len(_STEPS)


def version_of(connection: sqlite3.Connection) -> int:
    """The version of a file; 0 if it is empty. Raises `Refused` if it is not for us to write."""
    version = int(_pragma(connection, "user_version"))
    ours = _pragma(connection, "application_id") == APPLICATION
    if not ours and (version or _has_tables(connection)):
        raise Refused(Fault.FOREIGN, "it is a database of another program")
    if version > VERSION:
        newer = f"its version is {version}, and this supervisor knows {VERSION} at most"
        raise Refused(Fault.NEWER, newer)
    return version


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring a file to today's version, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    before = version_of(connection)
    for statements in _STEPS[before:]:
        for statement in statements:
            connection.execute(statement)
    if before != VERSION:
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
    if 0 < before < VERSION:
        log.info("history.migrated", path=path, before=before, after=VERSION)


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
