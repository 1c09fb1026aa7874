"""Tables, on the terminal and in generated blocks of a Markdown page."""

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
    """A table for a terminal, with lines between quantities."""
    shown = Table(*_COLUMNS, title=result.name)
    before = ""
    for row in result.rows:
        if row.what != before:
            shown.add_section()
        shown.add_row(*_cells(row, before))
        before = row.what
    return shown


def markdown(result: Result) -> str:
    """A table for a page, with the time of the measurement."""
    facts = f"Python {result.python}, load average before: {result.load}"
    return f"{_table(result.rows)}\n\nMeasured {result.began}, {facts}."


def goals(results: Iterable[Result]) -> str:
    """A table for a page with all quantities that have goals."""
    return _table([row for result in results for row in result.rows if row.goal])


def machine(described: Mapping[str, str]) -> str:
    """The machine of the measurements, for a page."""
    return "\n".join(f"- {key}: {value}" for key, value in described.items())


def replaced(page: str, name: str, content: str) -> str:
    """The page with a new block of this name. Raises ValueError if it has no such block."""
    block = re.compile(rf"(<!-- bench:{name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not block.search(page):
        raise ValueError(f"the page has no block bench:{name}")
    return block.sub(lambda found: f"{found[1]}\n{content}\n\n{found[2]}", page)


def number(value: float) -> str:
    """A number with about three digits; more would be noise."""
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
