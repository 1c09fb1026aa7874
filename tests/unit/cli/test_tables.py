import pytest
from rich.cells import cell_len

from service.cli import tables
from service.cli.tables import Column, Table

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
