"""The table of `top`: what is known of each job, then those of which nothing is."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from service._generated.supervisor.v1.observer_pb2 import JobStats, StatsResponse, UnmeasuredJob
from service.cli.tables import READABLE, Column, Table, with_room
from service.cli.terminal import has_colours

_Row = JobStats | UnmeasuredJob

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_NEAR, _HIGH = 0.8, 0.95  # of the limit
_WHY_NOT = {
    "other_machine": "on other machines of the Swarm, which its manager cannot measure",
    "no_answer": "for which the Engine did not answer in time",
}


def lines_of(stats: StatsResponse) -> Iterator[str]:
    """The lines of the table, with its titles."""
    rows: list[_Row] = [*stats.jobs, *stats.unmeasured]
    return Table(with_room(_columns(rows), rows), wide=False).lines(rows)


def notes_on(stats: StatsResponse) -> Iterator[str]:
    """How many jobs could not be measured, and why."""
    for reason, number in Counter(each.reason for each in stats.unmeasured).items():
        yield f"not measured: {number} {_WHY_NOT.get(reason, reason)}"


def screen(stats: StatsResponse, target: str) -> Text:
    """As much of the table as fits onto the terminal."""
    cpu = sum(each.cpu for each in stats.jobs)
    memory = sum(each.memory_bytes for each in stats.jobs)
    now, of_all = time.strftime("%H:%M:%S"), f"{cpu:.2f} processors, {_size(memory)}"
    lines = [f"{now}  {target}  {len(stats.jobs)} jobs, {of_all}", *notes_on(stats), ""]
    lines += lines_of(stats)
    most = shutil.get_terminal_size().lines - 1
    return Text.from_ansi("\n".join(lines[:most]))


def live_console() -> Console:
    """Where `screen` is shown."""
    return Console(no_color=not has_colours(), highlight=False)


def _columns(rows: Sequence[_Row]) -> Sequence[Column[_Row]]:
    columns: list[Column[_Row]] = [
        Column("IDENTIFIER", lambda each: each.identifier, least=READABLE),
        Column("JOB", lambda each: each.name, spare=1),
        Column("CPU", _if_measured(lambda each: f"{each.cpu:.2f}")),
        Column(
            "MEMORY", _if_measured(lambda each: _size(each.memory_bytes)), _if_measured(_colour)
        ),
        Column("LIMIT", _if_measured(_limit), spare=3),
        Column("OF LIMIT", _if_measured(_share), _if_measured(_colour)),
        Column("PROCESSES", _if_measured(lambda each: str(each.processes)), spare=4),
    ]
    nodes = any(each.node for each in rows)
    return [*columns, Column("NODE", lambda each: each.node, spare=2)] if nodes else columns


def _if_measured(text: Callable[[JobStats], str]) -> Callable[[_Row], str]:
    return lambda row: text(row) if isinstance(row, JobStats) else ""


def _limit(stats: JobStats) -> str:
    return _size(stats.memory_limit_bytes) if stats.memory_limit_bytes else ""


def _share(stats: JobStats) -> str:
    return f"{_used(stats):.0%}" if stats.memory_limit_bytes else ""


def _used(stats: JobStats) -> float:
    """The share of the limit that is used; 0 without a limit."""
    return stats.memory_bytes / stats.memory_limit_bytes if stats.memory_limit_bytes else 0.0


def _colour(stats: JobStats) -> str:
    used = _used(stats)
    return "red" if used > _HIGH else "yellow" if used > _NEAR else ""


def _size(number: float) -> str:
    """Bytes, in the unit that has at most four digits."""
    at = 0
    while number >= 1000 and at < len(_UNITS) - 1:  # noqa: PLR2004
        number, at = number / 1024, at + 1
    return f"{number:.1f} {_UNITS[at]}" if at else f"{number:.0f} B"
