"""Tables: on the terminal, and in blocks of a Markdown page that are written anew."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from benchmarks.result import Goal, Result, Row
from benchmarks.stats import Estimate

_COLUMNS = ("what", "who", "median [95 %]", "of the baseline [95 %]", "goal", "")
_RIGHT = " ---: "
_ALIGNMENT = (" --- ", " --- ", _RIGHT, _RIGHT, " --- ", " --- ")


def table(result: Result) -> Table:
    """For a terminal, with a line between quantities."""
    shown = Table(*_COLUMNS, title=result.name)
    before = ""
    for row in result.rows:
        if row.what != before:
            shown.add_section()
        shown.add_row(*_cells(row, before))
        before = row.what
    return shown


def markdown(result: Result) -> str:
    """For a page, with when it was measured."""
    return f"{_table(result.rows)}\n\nMeasured {result.began}, load average before: {result.load}."


def goals(results: Iterable[Result]) -> str:
    """For a page: everything that has a goal, of all measurements."""
    return _table([row for result in results for row in result.rows if row.goal])


def machine(described: Mapping[str, str]) -> str:
    """For a page: what it was measured on."""
    return "\n".join(f"- {key}: {value}" for key, value in described.items())


def replaced(page: str, name: str, content: str) -> str:
    """The page with the block of that name written anew. Raises ValueError if there is none."""
    block = re.compile(rf"(<!-- bench:{name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not block.search(page):
        raise ValueError(f"the page has no block bench:{name}")
    return block.sub(lambda found: f"{found[1]}\n{content}\n\n{found[2]}", page)


def number(value: float) -> str:
    """About three digits: more are noise."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{max(digits, 0)}f}"


def _table(rows: Sequence[Row]) -> str:
    lines = [f"| {' | '.join(_COLUMNS)} |", f"|{'|'.join(_ALIGNMENT)}|"]
    before = ""
    for row in rows:
        lines.append(f"| {' | '.join(_cells(row, before))} |")
        before = row.what
    return "\n".join(lines)


def _cells(row: Row, before: str) -> tuple[str, ...]:
    return (
        "" if row.what == before else row.what,
        row.who,
        f"{_interval(row.value)} {row.unit}",
        _interval(row.ratio) if row.ratio else "",
        _goal(row.goal, row.unit) if row.goal else "",
        _verdict(row),
    )


def _verdict(row: Row) -> str:
    words = [row.verdict or "", "as again" if row.goal and row.is_noise else ""]
    return ", ".join(filter(None, words))


def _interval(found: Estimate) -> str:
    if found.low == found.high:
        return number(found.median)
    return f"{number(found.median)} [{number(found.low)}, {number(found.high)}]"


def _goal(goal: Goal, unit: str) -> str:
    sign = "≥" if goal.at_least else "≤"
    return f"{sign} {number(goal.limit)} {unit if goal.absolute else 'of it'}"
