"""The table of `top`."""

import shutil
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from service.cli.tables import Column, Table
from service.cli.terminal import has_colours

if TYPE_CHECKING:
    from service._generated.supervisor.v1.observer_pb2 import JobStats

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_NEAR, _HIGH = 0.8, 0.95  # of the limit


def lines_of(stats: "Sequence[JobStats]") -> Iterator[str]:
    """The lines of the table, with its titles."""
    return Table(_columns(stats), wide=False).lines(stats)


def screen(stats: "Sequence[JobStats]", target: str) -> Text:
    """What fits onto the terminal."""
    cpu, memory = sum(each.cpu for each in stats), sum(each.memory_bytes for each in stats)
    now, of_all = time.strftime("%H:%M:%S"), f"{cpu:.2f} processors, {_size(memory)}"
    lines = [f"{now}  {target}  {len(stats)} jobs, {of_all}", "", *lines_of(stats)]
    most = shutil.get_terminal_size().lines - 1
    return Text.from_ansi("\n".join(lines[:most]))


def live_console() -> Console:
    """Where `screen` is shown."""
    return Console(no_color=not has_colours(), highlight=False)


def _columns(stats: "Sequence[JobStats]") -> "Sequence[Column[JobStats]]":
    columns: list[Column[JobStats]] = [
        Column("IDENTIFIER", lambda each: each.identifier),
        Column("JOB", lambda each: each.name),
        Column("CPU", lambda each: f"{each.cpu:.2f}"),
        Column("MEMORY", lambda each: _size(each.memory_bytes), _colour),
        Column("LIMIT", lambda each: _size(each.memory_limit_bytes) if _limit(each) else ""),
        Column("OF LIMIT", _share, _colour),
        Column("PROCESSES", lambda each: str(each.processes)),
    ]
    nodes = any(each.node for each in stats)
    return [*columns, Column("NODE", lambda each: each.node)] if nodes else columns


def _limit(stats: "JobStats") -> int:
    return stats.memory_limit_bytes


def _share(stats: "JobStats") -> str:
    return f"{stats.memory_bytes / _limit(stats):.0%}" if _limit(stats) else ""


def _colour(stats: "JobStats") -> str:
    used = stats.memory_bytes / _limit(stats) if _limit(stats) else 0
    return "red" if used > _HIGH else "yellow" if used > _NEAR else ""


def _size(number: float) -> str:
    """Bytes, in the unit that has at most four digits."""
    at = 0
    while number >= 1000 and at < len(_UNITS) - 1:  # noqa: PLR2004
        number, at = number / 1024, at + 1
    return f"{number:.1f} {_UNITS[at]}" if at else f"{number:.0f} B"
