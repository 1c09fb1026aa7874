from collections.abc import Sequence

import pytest
from rich.cells import cell_len

from service._generated.supervisor.v1.observer_pb2 import Job, JobStats, StatsResponse
from service.cli import job_columns, tables, usage_table
from service.cli.tables import READABLE, Column, Table

COLUMNS: list[Column[list[str]]] = [
    Column("ONE", lambda row: row[0]),
    Column("TWO", lambda row: row[1]),
    Column("MORE", lambda row: row[0] * 2, wide=True),
]


@pytest.fixture
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "width", lambda: 40)


def lines(*rows: list[str], wide: bool = False) -> list[str]:
    return list(Table(COLUMNS, wide=wide).lines(rows))


def test_columns_are_as_wide_as_their_widest_cell_and_empty_cells_are_a_dash() -> None:
    assert ["ONE    TWO", "a      b", "cccc   -"] == lines(["a", "b"], ["cccc", ""])


def test_wide_has_more_columns() -> None:
    assert ["ONE   TWO   MORE", "a     b     aa"] == lines(["a", "b"], wide=True)


def test_characters_of_two_cells_are_counted_as_two() -> None:
    assert ["ONE      TWO", "日本語   x", "abc      y"] == lines(["日本語", "x"], ["abc", "y"])


def test_rows_that_come_later_widen_the_columns_and_have_no_titles() -> None:
    table = Table(COLUMNS, wide=False)
    assert ["ONE   TWO"] == list(table.lines([]))
    assert ["aaaaa   b"] == list(table.lines([["aaaaa", "b"]]))
    assert ["a       b"] == list(table.lines([["a", "b"]]))


def test_in_a_pipe_nothing_is_cut_and_one_long_cell_does_not_fill_all_rows() -> None:
    _, long, short = lines(["x" * 5000, "b"], ["a", "b"])
    assert "x" * 5000 + "   b" == long
    assert len(short) < 100


@pytest.mark.usefixtures("_terminal")
def test_on_a_terminal_the_widest_columns_are_cut_until_all_fit() -> None:
    titles, long, wide = lines(["x" * 100, "b" * 30], ["日本語" * 20, "c"])
    assert 17 * "x" + "…" in long
    assert long.endswith("b…")
    assert all(cell_len(line) <= 40 for line in (titles, long, wide))


@pytest.mark.usefixtures("_terminal")
def test_on_a_terminal_what_fits_is_not_cut() -> None:
    assert ["ONE    TWO", f"a      {'b' * 33}", "cccc   d"] == lines(["a", "b" * 33], ["cccc", "d"])


_IDENTIFIER = "0b6f4f6e-3c0d-4d0e-9b1a-2f6c1d7e8a90"


def usage(monkeypatch: pytest.MonkeyPatch, columns: int | None, identifier: str) -> list[str]:
    """The table of `top` for a job on a node of a Swarm, on a terminal or not."""
    monkeypatch.setattr(tables, "width", lambda: columns)
    stats = JobStats(
        identifier=identifier,
        name="weather-fetch-weather",
        cpu=0.5,
        memory_bytes=3 * 2**20,
        memory_limit_bytes=4 * 2**20,
        processes=2,
        node="worker-7.eu-west.example.org",
    )
    return list(usage_table.lines_of(StatsResponse(jobs=[stats])))


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (None, "IDENTIFIER JOB CPU MEMORY LIMIT OF LIMIT PROCESSES NODE"),
        (130, "IDENTIFIER JOB CPU MEMORY LIMIT OF LIMIT PROCESSES NODE"),
        (110, "IDENTIFIER JOB CPU MEMORY LIMIT OF LIMIT NODE"),
        (100, "IDENTIFIER JOB CPU MEMORY OF LIMIT NODE"),
        (90, "IDENTIFIER JOB CPU MEMORY OF LIMIT"),
        (70, "IDENTIFIER CPU MEMORY OF LIMIT"),
    ],
)
def test_a_narrow_terminal_shows_fewer_columns_and_whole_identifiers(
    monkeypatch: pytest.MonkeyPatch, columns: int | None, shown: str
) -> None:
    titles, row = usage(monkeypatch, columns, _IDENTIFIER)
    assert shown == " ".join(titles.split())
    assert row.startswith(f"{_IDENTIFIER}   ")
    assert all(columns is None or cell_len(line) <= columns for line in (titles, row))


def test_an_identifier_without_end_is_cut_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    titles, row = usage(monkeypatch, 80, "x" * 5000)
    assert "IDENTIFIER JOB CPU MEMORY OF LIMIT" == " ".join(titles.split())
    assert cell_len(row) <= 80
    assert row.startswith((READABLE - 1) * "x" + "…")


@pytest.mark.parametrize("columns", [job_columns.JOBS, job_columns.HISTORY])
def test_lists_of_jobs_cut_other_columns_before_identifiers(
    columns: Sequence[Column[Job]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "width", lambda: 60)
    job = Job(identifier=_IDENTIFIER, name="weather-fetch-weather", state="running")
    _, row = Table(columns, wide=True).lines([job])
    assert row.startswith(f"{_IDENTIFIER}   weather-fet…   ")
