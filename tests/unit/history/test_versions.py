import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from service.history.schema import APPLICATION, VERSION
from service.jobs.model import Outcome
from tests.unit.history.conftest import Opens
from tests.unit.history.ends import an_end, eventually, listed, written

# A file as version 1 has made it.
VERSION_1 = f"""
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    CREATE TABLE ended (
        position INTEGER PRIMARY KEY, launch_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        identifier TEXT NOT NULL, kind TEXT NOT NULL, outcome TEXT, created_at REAL NOT NULL,
        started_at REAL, ended_at REAL, exit_code INTEGER, oom_killed INTEGER NOT NULL,
        signal INTEGER, restarts INTEGER NOT NULL, workload_id TEXT, workload_name TEXT NOT NULL,
        node TEXT NOT NULL, image TEXT NOT NULL, image_digest TEXT NOT NULL, traceparent TEXT,
        launcher TEXT NOT NULL, launcher_peer TEXT NOT NULL, launcher_user_agent TEXT NOT NULL,
        killer TEXT NOT NULL, killer_peer TEXT NOT NULL, killer_user_agent TEXT NOT NULL,
        last_lines TEXT NOT NULL
    );
    CREATE INDEX by_identifier ON ended (identifier, position);
    CREATE INDEX by_name ON ended (name, position);
    CREATE INDEX by_outcome ON ended (outcome, position);
    INSERT INTO ended VALUES (
        1796000000000000, 'launch-old', 'timer', 'user-1', 'action', 'error', 1795999990.5,
        1795999991.5, 1795999999.5, 3, 0, NULL, 2, 'c1', 'timer-1', '', 'timer:1', 'sha256:d1',
        '00-{"a" * 32}-{"b" * 16}-01', 'backend', '10.0.0.1:5', 'grpc-go', '', '', '', 'gone wrong'
    );
    PRAGMA application_id = {APPLICATION};
    PRAGMA user_version = 1;
"""


def make(path: Path, text: str) -> bytes:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(text)
    return path.read_bytes()


def pragma(path: Path, name: str) -> Any:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


async def test_a_file_of_version_1_becomes_todays(opens: Opens, path: Path) -> None:
    make(path, VERSION_1)
    with capture_logs() as logs:
        history = opens(history_days=36500)
        old = await history.find(identifier="user-1")
    assert old
    assert ("launch-old", Outcome.ERROR, 3, "gone wrong", "a" * 32, 2, "") == (
        old.launch_id,
        old.outcome,
        old.exit_code,
        old.last_lines,
        old.trace_id,
        old.restarts.total,
        old.ended_for,
    )
    told = [(each["before"], each["after"]) for each in logs if each["event"] == "history.migrated"]
    assert [(1, VERSION)] == told
    history.add(an_end(1, ended_for="unhealthy"))
    await written(history)
    assert ["launch-1", "launch-old"] == await listed(history)
    await history.close(within=5)
    assert (VERSION, APPLICATION) == (pragma(path, "user_version"), pragma(path, "application_id"))


async def test_a_migration_that_fails_leaves_the_file_as_it_was(opens: Opens, path: Path) -> None:
    make(path, VERSION_1 + "CREATE TABLE by_filter (x);")  # in the way of the second step
    history = opens()
    await eventually(lambda: history.fault)
    assert ("other", 1) == (history.fault, pragma(path, "user_version"))
    make(path, "DROP TABLE by_filter")
    await eventually(lambda: not history.fault)
    assert await history.find(launch_id="launch-old")


async def test_a_file_of_a_newer_version_is_left_alone(opens: Opens, path: Path) -> None:
    newer = f"PRAGMA user_version = {VERSION + 1}; DROP TABLE ended; CREATE TABLE later (x)"
    before = make(path, VERSION_1 + newer)
    with capture_logs() as logs:
        history = opens()
        history.add(an_end(1))
        await eventually(lambda: history.fault)
    assert "newer" == history.fault
    assert ["launch-1"] == await listed(history)
    [failed] = [each for each in logs if each["event"] == "history.failed"]
    assert (
        f"its version is {VERSION + 1}, and this supervisor knows {VERSION} at most"
        == (failed["error"])
    )
    await history.close(within=5)
    assert before == path.read_bytes()
    assert [path] == sorted(
        set(path.parent.glob("history*")) - {path.with_name(path.name + "-lock")}
    )


async def test_a_database_of_another_program_is_left_alone(opens: Opens, path: Path) -> None:
    before = make(path, "CREATE TABLE users (name)")
    history = opens()
    history.add(an_end(1))
    await eventually(lambda: history.fault)
    assert "foreign" == history.fault
    await history.close(within=5)
    assert before == path.read_bytes()


async def test_an_empty_file_is_as_good_as_none(opens: Opens, path: Path) -> None:
    path.touch()
    history = opens()
    history.add(an_end(1))
    await written(history)
    assert "" == history.fault
