"""Pictures of the results."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.measurements import layers
from benchmarks.result import Result, Row
from benchmarks.stats import Estimate

_WIDTH = 9.0  # inches
_DPI = 120
_BAND = "0.85"
_WIDE = 10
_LEAST = 0.01


def save(result: Result, file: Path) -> None:
    """Draw a measurement, if it has a picture."""
    if draw := _DRAWINGS.get(result.name):
        figure = Figure(layout="constrained")
        draw(figure, result)
        figure.savefig(file, dpi=_DPI)


def _ratios(figure: Figure, result: Result) -> None:
    """Ratios to the baseline, each above the band of the baseline's ratio to itself."""
    compared = _by_quantity([row for row in result.rows if row.ratio])
    figure.set_size_inches(_WIDTH, 1.2 + 0.45 * len(compared))
    axes = figure.subplots()
    axes.axvline(1, color="0.5", linewidth=0.8)
    for place, rows in enumerate(compared.values()):
        for contender, row in enumerate(rows[1:]):  # the first is the baseline
            _ratio(axes, row, place, f"C{contender}", legend=place == 0)
    axes.set_xlabel("times the baseline, with the interval of 95 %")
    _name_bars(axes, list(compared))


def _ratio(axes: Axes, row: Row, place: int, colour: str, *, legend: bool) -> None:
    assert row.ratio is not None
    label = row.who if legend else None
    low, high = row.ratio.low, row.ratio.high
    if row.is_control:
        axes.barh(place, high - low, 0.7, low, color=_BAND, label=label, zorder=0)
        return
    error = _error(row.ratio)
    axes.errorbar(row.ratio.median, place, xerr=error, fmt="o", color=colour, label=label)
    if row.goal:
        axes.plot(row.goal.limit, place, "|", color="red", markersize=18)


def _layers(figure: Figure, result: Result) -> None:
    """A bar for each load, stacked by layers."""
    quantities = _by_quantity(result.rows)
    added = {
        what.removeprefix(layers.ADDS): rows
        for what, rows in quantities.items()
        if what.startswith(layers.ADDS)
    }
    figure.set_size_inches(_WIDTH, 2.6)
    axes = figure.subplots()
    for place, (what, rows) in enumerate(added.items()):
        bare = [row for row in quantities[what] if row.who == layers.BASE]
        _stack(axes, [*bare, *(row for row in rows if not row.is_control)], place)
    axes.set_xlabel("µs of the server's CPU time for each call")
    _name_bars(axes, list(added))


def _stack(axes: Axes, rows: Sequence[Row], place: int) -> None:
    left = 0.0
    for part, row in enumerate(rows):
        width = row.value.median
        label = row.who if place == 0 else None
        bar = axes.barh(place, width, 0.6, left, color=f"C{part}", label=label)
        axes.bar_label(bar, [f"{width:.0f}"], label_type="center")
        left += width


def _growth(figure: Figure, result: Result) -> None:
    """A small picture for each quantity, over the number of jobs."""
    quantities = _by_quantity([row for row in result.rows if not row.is_control])
    figure.set_size_inches(_WIDTH * 1.3, 5.5)
    grid = figure.subplots(2, -(-len(quantities) // 2))
    for axes, (what, rows) in zip(grid.flat, quantities.items(), strict=False):
        for row in rows:
            jobs, error = row.who.removesuffix(" jobs"), _error(row.value)
            axes.errorbar(jobs, row.value.median, yerr=error, fmt="o", color="C0")
        axes.set_title(f"{what} ({rows[0].unit})", fontsize="medium")
        _scale(axes, [row.value.median for row in rows])
    for axes in grid.flat[len(quantities) :]:
        axes.remove()
    figure.supxlabel("jobs known")


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Start the axis at zero, or make it logarithmic if the values differ widely."""
    if max(values) > _WIDE * max(min(values), _LEAST):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)


def _by_quantity(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.what, []).append(row)
    return groups


def _name_bars(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


def _error(found: Estimate) -> list[list[float]]:
    return [[found.median - found.low], [found.high - found.median]]


_DRAWINGS: Mapping[str, Callable[[Figure, Result], None]] = {
    "launch": _ratios,
    "kill": _ratios,
    "dedup": _ratios,
    "tail": _ratios,
    "layers": _layers,
    "growth": _growth,
}
