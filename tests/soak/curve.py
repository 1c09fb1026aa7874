"""The curve of a soak, for a person: a table, and a line for each thing that is used."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.soak.samples import USES, Sample, thirds

_BARS = "▁▂▃▄▅▆▇█"
_ROWS, _COLUMNS = 16, 60


def show(console: Console, samples: Sequence[Sample]) -> None:
    """Print some of the samples as numbers, and more of them as a line."""
    table = Table("seconds", "cycles", *(use.name for use in USES))
    for one in _some(samples, _ROWS):
        uses = (f"{use.of(one):.0f}" for use in USES)
        table.add_row(f"{one.seconds:.0f}", str(one.cycles), *uses)
    console.print(table)
    lines = Table(show_header=False, box=None)
    for use in USES:
        values = [use.of(one) for one in _some(samples, _COLUMNS)]
        first, last = thirds(samples, use)
        lines.add_row(use.name, _line(values), f"{first:.1f}, {last:.1f}")
    console.print("The medians behind each curve: of the first third, and of the last.")
    console.print(lines)


def _some(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """So many at even distances, the last one included."""
    step = max(1, -(-len(samples) // most))
    return samples[::-1][::step][::-1]


def _line(values: Sequence[float]) -> str:
    """From nothing to the highest, so that a flat curve looks flat."""
    top = max(values) or 1
    return "".join(_BARS[round(value / top * (len(_BARS) - 1))] for value in values)
