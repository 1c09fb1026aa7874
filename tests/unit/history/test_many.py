import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.access.clients import ALL_JOBS, JobScope
from service.history import queries
from service.history.file import HistoryFile
from service.history.history import NEWEST
from service.history.kept import Entry
from service.jobs.model import Outcome
from service.jobs.wanted import EVERY_JOB, Wanted
from tests.support.samples import NAMES
from tests.unit.history.ends import an_end

_ROWS = 100_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HistoryFile]:
    file = HistoryFile(tmp_path_factory.mktemp("history") / "history.sqlite")
    for begin in range(0, _ROWS, 10_000):
        file.write([Entry((2000 + n) * 1_000_000, an_end(n)) for n in range(begin, begin + 10_000)])
    assert file.count == _ROWS
    yield file
    file.close()


@pytest.mark.parametrize(
    ("wanted", "found", "most_steps"),
    [
        (EVERY_JOB, 100, 10_000),
        (Wanted(name="timer"), 100, 10_000),
        (Wanted(name="t*"), 100, 10_000),
        (Wanted(name="none*"), 0, 1_000),
        (Wanted(outcome=Outcome.ERROR), 100, 10_000),
        (Wanted(outcome=Outcome.OOM), 0, 1_000),
        (Wanted(identifier_prefix="user-"), 100, 40_000),
        (Wanted(identifier_prefix="user-77-7777"), 2, 1_000),
        (Wanted(since=1000.0 + _ROWS - 10), 10, 700_000),
        (Wanted(ended_since=2000.0 + _ROWS - 10), 10, 700_000),
        (Wanted(failed=True), 100, 20_000),
        (Wanted(failed=True, ended_since=2000.0 + _ROWS - 10), 1, 1_000_000),
        (Wanted(identifier_prefix="user-1", outcome=Outcome.ERROR), 100, 150_000),
    ],
    ids=str,
)
def test_a_page_of_a_hundred_thousand_takes_few_steps(
    many: HistoryFile, wanted: Wanted, found: int, most_steps: int
) -> None:
    """A million steps of SQLite's machine take about 20 ms."""
    page = partial(
        queries.page, wanted=wanted, scope=ALL_JOBS, before=NEWEST, leave_out=(), most=100
    )
    rows, steps = _counted(many, page)
    assert found == len(rows)
    assert steps <= most_steps


@pytest.mark.parametrize("wanted", [EVERY_JOB, Wanted(outcome=Outcome.OOM)], ids=str)
def test_a_client_with_every_job_waits_no_longer_than_one_without_limits(
    many: HistoryFile, wanted: Wanted
) -> None:
    page = partial(queries.page, wanted=wanted, before=NEWEST, leave_out=(), most=100)
    taken = [_counted(many, partial(page, scope=each)) for each in (ALL_JOBS, JobScope(["*"]))]
    assert taken[0] == taken[1]


def test_the_newest_of_an_identifier_with_many_launches_takes_few_steps(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "history.sqlite")
    file.write([Entry(n + 1, an_end(n, identifier="same")) for n in range(5000)])
    for scope, newest in (
        (ALL_JOBS, "launch-4999"),
        (JobScope([NAMES[0]]), "launch-4998"),
        (JobScope(["none"]), None),
    ):
        find = partial(queries.find, launch_id="", identifier="same", scope=scope)
        entry, steps = _counted(file, find)
        assert newest == (entry and entry.job.launch_id)
        assert steps <= 1000
    file.close()


def _counted(file: HistoryFile, question: Callable[[sqlite3.Connection], Any]) -> tuple[Any, int]:
    """The answer to a question, and the steps of SQLite's machine that it has taken."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 100
        return 0

    def ask(connection: sqlite3.Connection) -> Any:
        connection.set_progress_handler(count, 100)
        return question(connection)

    return file.read(ask), steps
