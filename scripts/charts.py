"""Draws a chart for each kind of panel, similar to Grafana's."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from dashboards.reading import Panel
from scripts.units import written

COLORS: Final = {
    "green": "#56a64b",
    "yellow": "#e0b400",
    "orange": "#ff780a",
    "red": "#e02f44",
    "dark-red": "#8f1d2c",
    "blue": "#3274d9",
    "light-blue": "#8ab8ff",
    "light-orange": "#ffb357",
    "purple": "#a352cc",
    "light-purple": "#ca95e5",
}
_PALETTE: Final = (
    "#56a64b", "#e0b400", "#3274d9", "#ff780a", "#a352cc",
    "#37a2a2", "#e02f44", "#8c6d46", "#6f7c8a", "#d45d9e",
)  # fmt: skip
_INK: Final = "#24292e"
_TRACE: Final = "a trace"


@dataclass(frozen=True, slots=True)
class Answers:
    """Prometheus' answers to a panel, at evenly spaced times (seconds since the first)."""

    panel: Panel
    times: Sequence[float]
    curves: Mapping[str, Sequence[float]]
    exemplars: Sequence[tuple[float, float]]


def margins(answers: Answers) -> tuple[float, float, float, float]:
    """The margins of a chart: left, right, above, below, in units of Grafana's grid."""
    match answers.panel.kind:
        case "stat":
            return 0.12, 0.12, 1.3, 0.5
        case "bargauge":
            return 5.0, 0.5, 1.25, 1.0
        case _:
            rows = math.ceil(len(_named(answers)) / _columns(answers))
            return 1.15, 0.25, 1.25, 1.1 + 0.45 * rows


def _lines(axes: Axes, answers: Answers) -> None:
    names = [*answers.curves]
    colors = _colors(answers.panel, names)
    if answers.panel.raw["fieldConfig"]["defaults"]["custom"].get("stacking"):
        heights = [np.nan_to_num(np.array(curve)) for curve in answers.curves.values()]
        axes.stackplot(answers.times, heights, labels=names, colors=colors, alpha=0.75, lw=0)
    else:
        for name, color in zip(names, colors, strict=True):
            curve = answers.curves[name]
            axes.plot(answers.times, curve, label=name, color=color, lw=1.2, marker=".", ms=2)
    _dots(axes, answers.exemplars)
    _values(axes, answers.panel.unit)
    _time(axes, answers)


def _heat(axes: Axes, answers: Answers) -> None:
    rows = sorted(answers.curves, key=float)
    bounds = [float(row) for row in rows]
    upto = np.nan_to_num(np.array([answers.curves[row] for row in rows]))
    cells = np.ma.masked_less_equal(np.diff(upto, axis=0, prepend=0), 1e-9)
    axes.pcolormesh(answers.times, np.arange(len(rows)), cells, cmap="Blues", shading="nearest")
    _dots(axes, [(x, int(np.searchsorted(bounds, y))) for x, y in answers.exemplars])
    labels = [f"≤ {written(bound, 's')}" if math.isfinite(bound) else "more" for bound in bounds]
    axes.set_yticks(range(len(rows)), labels, fontsize=7)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    _time(axes, answers)


def _timeline(axes: Axes, answers: Answers) -> None:
    step = answers.times[1]
    for row, curve in enumerate(answers.curves.values()):
        for time, value in zip(answers.times, curve, strict=True):
            axes.broken_barh([(time, step)], (row - 0.35, 0.7), color=_yes(value), lw=0)
    axes.set_yticks(range(len(answers.curves)), [*answers.curves])
    axes.invert_yaxis()
    axes.grid(visible=False)
    _time(axes, answers)


def _bars(axes: Axes, answers: Answers) -> None:
    values = [curve[0] for curve in answers.curves.values()]
    bars = axes.barh([*answers.curves], values, color=COLORS["blue"], height=0.6)
    axes.bar_label(bars, [written(value, answers.panel.unit) for value in values], padding=3)
    axes.invert_yaxis()
    axes.xaxis.set_visible(False)
    axes.grid(visible=False)


def _stat(axes: Axes, answers: Answers) -> None:
    ((name, (value, *_)),) = answers.curves.items()
    options, defaults = answers.panel.raw["options"], answers.panel.raw["fieldConfig"]["defaults"]
    text, color, background = written(value, answers.panel.unit), _INK, "#f6f8fa"
    if options["colorMode"] == "background":
        text, color, background = "yes" if value else "no", "white", _yes(value)
    elif options["textMode"] == "name":
        text = name
    elif answers.panel.unit == "none":
        text = f"{value:.0f}"
    if len(defaults.get("thresholds", {}).get("steps", ())) > 1:
        color = _yes(value < 1)
    axes.set_facecolor(background)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    size = min(15, 60 * answers.panel.place["w"] / len(text))
    axes.text(0.5, 0.48, text, ha="center", va="center", fontsize=size, color=color, weight="bold")


KINDS: Final[Mapping[str, Callable[[Axes, Answers], None]]] = {
    "timeseries": _lines,
    "heatmap": _heat,
    "state-timeline": _timeline,
    "bargauge": _bars,
    "stat": _stat,
}
"""Grafana's names of the kinds that are drawn."""


def _yes(value: float) -> str:
    return COLORS["green" if value else "red"]


def _colors(panel: Panel, names: Sequence[str]) -> list[str]:
    fixed = {
        override["matcher"]["options"]: COLORS[override["properties"][0]["value"]["fixedColor"]]
        for override in panel.raw["fieldConfig"]["overrides"]
    }
    return [fixed.get(name, _PALETTE[at % len(_PALETTE)]) for at, name in enumerate(names)]


def _dots(axes: Axes, dots: Sequence[tuple[float, float]]) -> None:
    if dots:
        x, y = zip(*dots, strict=True)
        axes.scatter(x, y, s=7, marker="D", color=_INK, alpha=0.6, lw=0, zorder=3, label=_TRACE)


def _values(axes: Axes, unit: str) -> None:
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if unit == "bytes":
        _, top = axes.get_ylim()
        axes.yaxis.set_major_locator(MultipleLocator(2 ** round(math.log2(top / 4))))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: written(y, unit)))


def _time(axes: Axes, answers: Answers) -> None:
    axes.set_xlim(0, answers.times[-1])
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[3]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x // 60:.0f}:{x % 60:02.0f}"))
    _legend(axes, answers)


def _legend(axes: Axes, answers: Answers) -> None:
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    named = [name for name in _named(answers) if name in handles]
    if named:
        axes.legend(
            [handles[name] for name in named],
            named,
            loc="upper left",
            bbox_to_anchor=(-0.03, 0),
            bbox_transform=axes.get_xaxis_transform(),
            ncols=_columns(answers),
            columnspacing=1,
            handlelength=1,
            borderaxespad=2.6,
        )


def _named(answers: Answers) -> list[str]:
    """The curves in the legend: those that are not always 0, because there is little room."""
    if answers.panel.kind in {"heatmap", "state-timeline"}:
        return [_TRACE] * bool(answers.exemplars)
    moved = [name for name, curve in answers.curves.items() if any(v > 0 for v in curve)]
    return moved + [_TRACE] * bool(answers.exemplars)


def _columns(answers: Answers) -> int:
    """The number of columns that fit: a unit of the grid takes about nine characters."""
    longest = max((len(name) for name in _named(answers)), default=0)
    return max(1, 9 * answers.panel.place["w"] // (longest + 5))
