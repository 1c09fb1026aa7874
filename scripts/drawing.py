"""Draws a dashboard from what Prometheus answers to its panels' queries."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from dashboards.reading import Panel, Question, as_grafana_would, panels
from scripts import charts
from scripts.charts import Answers
from tests.support.prometheus import Prometheus, Series

_COLUMN, _ROW = 0.66, 0.33  # inches of one unit of Grafana's grid
_STYLE: Final = {
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": "#c7ccd1",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e9ebee",
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "xtick.color": "#57606a",
    "ytick.color": "#57606a",
}


def draw(
    file: Path, prometheus: Prometheus, shown: tuple[float, float], scrape: float, picture: Path
) -> None:
    """Draw a dashboard's panels where Grafana would put them."""
    found = list(panels(file))
    height = max(panel.place["y"] + panel.place["h"] for panel in found)
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]  # it wants each key as a literal
        figure = Figure(figsize=(24 * _COLUMN, height * _ROW), facecolor="white")
        for panel in found:
            if panel.kind == "row":
                _title_row(figure, panel, height)
            else:
                _draw_panel(figure, _ask(panel, prometheus, shown, scrape), height)
        picture.parent.mkdir(exist_ok=True)
        figure.savefig(picture, dpi=100)
    # 256 colours look the same, and take a third of the size.
    Image.open(picture).convert("RGB").quantize(256).save(picture, optimize=True)


def _title_row(figure: Figure, panel: Panel, height: int) -> None:
    y = 1 - (panel.place["y"] + 0.72) / height
    figure.text(0.008, y, panel.title, fontsize=12, fontweight="bold", color="#1f2328")


def _draw_panel(figure: Figure, answers: Answers, height: int) -> None:
    """In the panel's place, with room for its title, its axis and its legend."""
    place = answers.panel.place
    left, right, top, bottom = charts.margins(answers)
    axes = figure.add_axes(
        (
            (place["x"] + left) / 24,
            1 - (place["y"] + place["h"] - bottom) / height,
            (place["w"] - left - right) / 24,
            (place["h"] - top - bottom) / height,
        )
    )
    axes.set_title(answers.panel.title, pad=7)
    charts.KINDS[answers.panel.kind](axes, answers)


def _ask(
    panel: Panel, prometheus: Prometheus, shown: tuple[float, float], scrape: float
) -> Answers:
    began, ended = shown
    variables = as_grafana_would(scrape_interval=scrape, shown=ended - began)
    times = [float(each) for each in np.arange(began, ended, scrape)]
    curves: dict[str, Sequence[float]] = {}
    exemplars = []
    for question in panel.questions:
        expression = question.filled_in(variables)
        if question.instant:
            answer = prometheus.now(expression, at=ended)
        else:
            answer = prometheus.over(expression, times[0], times[-1], scrape)
        curves |= {_name(question, series): _even(series, times) for series in answer}
        if question.exemplars:
            exemplars += prometheus.exemplars(expression, began, ended)
    dots = [(each["timestamp"] - began, float(each["value"])) for each in exemplars]
    return Answers(panel, [each - began for each in times], curves, dots)


def _name(question: Question, series: Series) -> str:
    return re.sub(r"{{(\w+)}}", lambda label: series.labels.get(label[1], ""), question.legend)


def _even(series: Series, times: Sequence[float]) -> Sequence[float]:
    """A value for each time, or NaN. An instant query has one value."""
    if len(series.values) == 1:
        return [series.values[0][1]]
    values = {round(time, 1): value for time, value in series.values}
    return [values.get(round(time, 1), math.nan) for time in times]
