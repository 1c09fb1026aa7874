"""Plain tables, as kubectl and docker print them: programs can read them line by line."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.cells import cell_len, set_cell_size

from observability.escaping import printable
from service.cli.terminal import coloured, width

T = TypeVar("T")

READABLE = 36
"""Identifiers are not cut below the length of a UUID: people copy them."""

_GAP = "   "
_NARROW = 12  # most columns are not cut below this
_PADDED = 80  # in a pipe, a longer cell does not make all others longer


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column: its title, the text for a row, and the colour of that."""

    title: str
    text: Callable[[T], str]
    colour: Callable[[T], str] = lambda _: ""
    wide: bool = False  # only of `-o wide`
    least: int = _NARROW  # it is not cut below this
    spare: int = 0  # `with_room` leaves it out where there is none, the highest first


class Table(Generic[T]):
    """Makes lines of rows. Rows that come later may widen the columns."""

    def __init__(self, columns: Sequence[Column[T]], *, wide: bool) -> None:
        self._columns = [each for each in columns if wide or not each.wide]
        self._natural: list[int] = []  # how wide the columns would be if there was room
        self._widths: list[int] = []

    def lines(self, rows: Sequence[T]) -> Iterator[str]:
        """The rows, below the titles if these are the first."""
        cells = [[_cell(each, row) for each in self._columns] for row in rows]
        titles = [each.title for each in self._columns]
        first = not self._natural
        self._widen([titles, *cells])
        if first:
            yield self._line(titles, [""] * len(titles))
        for row, texts in zip(rows, cells, strict=True):
            yield self._line(texts, [each.colour(row) for each in self._columns])

    def _widen(self, rows: Sequence[Sequence[str]]) -> None:
        widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
        self._natural = list(map(max, widths, self._natural or widths))
        self._widths = _fitting(self._natural, [each.least for each in self._columns])

    def _line(self, texts: Sequence[str], colours: Sequence[str]) -> str:
        last = len(texts) - 1
        padded = [
            _fitted(text, size, last=at == last)
            for at, (text, size) in enumerate(zip(texts, self._widths, strict=True))
        ]
        return _GAP.join(map(coloured, padded, colours))


def with_room(columns: Sequence[Column[T]], rows: Sequence[T]) -> Sequence[Column[T]]:
    """The columns that a terminal has room for."""
    there, left = width(), list(columns)
    spare = sorted((each for each in columns if each.spare), key=lambda each: each.spare)
    while there is not None and spare and _least_width(left, rows) > there:
        left.remove(spare.pop())
    return left


def _least_width(columns: Sequence[Column[T]], rows: Sequence[T]) -> int:
    natural = [
        max(map(cell_len, (each.title, *(_cell(each, row) for row in rows)))) for each in columns
    ]
    cut = [min(size, each.least) for size, each in zip(natural, columns, strict=True)]
    return sum(cut) + len(_GAP) * (len(cut) - 1)


def _cell(column: Column[T], row: T) -> str:
    return printable(column.text(row)) or "-"


def _fitting(natural: Sequence[int], least: Sequence[int]) -> list[int]:
    """How wide the columns are: on a terminal, no wider than lets all of them fit, if they can."""
    there = width()
    if there is None:
        return [min(each, _PADDED) for each in natural]
    room = there - len(_GAP) * (len(natural) - 1)
    most = max(natural)
    while most > _NARROW and sum(_cut(natural, least, most)) > room:
        most -= 1
    return _cut(natural, least, most)


def _cut(natural: Sequence[int], least: Sequence[int], most: int) -> list[int]:
    return [min(each, max(most, low)) for each, low in zip(natural, least, strict=True)]


def _fitted(text: str, size: int, *, last: bool) -> str:
    if cell_len(text) > size:
        return text if width() is None else set_cell_size(text, max(size - 1, 0)) + "…"
    return text if last else set_cell_size(text, size)
