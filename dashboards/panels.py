"""The panels, all with one look: what a dashboard says of one is its words and its queries."""

from collections.abc import Sequence
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import bargauge, heatmap, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.dashboard import Panel as PanelModel
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode

Panel = Builder[PanelModel]
_Look = TypeVar(
    "_Look", timeseries.Panel, heatmap.Panel, stat.Panel, statetimeline.Panel, bargauge.Panel
)

DATASOURCE: Final = DataSourceRef(type_val="prometheus", uid="$datasource")
"""The Prometheus chosen in the dashboard."""

# Widths, of the 24 columns.
EIGHTH: Final = 3
SIXTH: Final = 4
QUARTER: Final = 6
HALF: Final = 12
THIRD: Final = 8

# The same thing has the same colour wherever it is shown.
_COLORS: Final = {
    "launched": "green",
    "dedup": "blue",
    "failed": "red",
    "starting": "yellow",
    "running": "green",
    "paused": "purple",
    "stopping": "orange",
    "exited": "blue",
    "backing_off": "light-orange",
    "stopped": "green",
    "forced": "orange",
    "not_running": "blue",
    "success": "green",
    "ended": "orange",
    "error": "red",
    "oom": "dark-red",
    "killed": "blue",
    "lost": "purple",
    "timed_out": "yellow",
    "OK": "green",
    "CANCELLED": "blue",
    "DEADLINE_EXCEEDED": "orange",
    "INVALID_ARGUMENT": "purple",
    "NOT_FOUND": "yellow",
    "PERMISSION_DENIED": "light-orange",
    "UNAUTHENTICATED": "light-purple",
    "UNAVAILABLE": "red",
    "UNIMPLEMENTED": "light-blue",
    "UNKNOWN": "dark-red",
}
_YES_OR_NO: Final[list[ValueMapping]] = [
    ValueMap(
        options={
            "0": ValueMappingResult(text="no", color="red", index=0),
            "1": ValueMappingResult(text="yes", color="green", index=1),
        }
    )
]


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Dataquery,
    width: int = THIRD,
    stacked: bool = False,
    known: Sequence[str] = (),
) -> Panel:
    """Curves, or areas on top of each other where their sum is the whole.

    `known` are the names of curves that have a colour of their own.
    """
    panel = _look(timeseries.Panel(), title, description, unit, queries).span(width).height(8)
    panel.min(0).line_width(1).fill_opacity(60 if stacked else 10)
    panel.legend(_legend()).tooltip(_tooltip())
    if stacked:
        panel.stacking(StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    for name in known:
        color = {"mode": "fixed", "fixedColor": _COLORS[name]}
        panel.override_by_name(name, [DynamicConfigValue("color", color)])
    return panel


def heat(title: str, description: str, unit: str, query: Dataquery, *, width: int = THIRD) -> Panel:
    """How many took how long, at each time."""
    panel = _look(heatmap.Panel(), title, description, unit, [query]).span(width).height(8)
    scheme = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(64)
    panel.calculate(False).color(scheme).exemplars_color("orange")
    panel.y_axis(heatmap.YAxisConfig().unit(unit))
    panel.cell_values(heatmap.CellValues().unit("short").decimals(1))
    return panel.filter_values(heatmap.FilterValueRange().le(1e-9))


def bars(title: str, description: str, unit: str, query: Dataquery, *, width: int = THIRD) -> Panel:
    """A bar for each series, as they are now."""
    panel = _look(bargauge.Panel(), title, description, unit, [query]).span(width).height(8)
    panel.min(0).orientation(common.VizOrientation.HORIZONTAL).reduce_options(_now())
    return panel.display_mode(common.BarGaugeDisplayMode.BASIC)


def timeline(title: str, description: str, *queries: Dataquery) -> Panel:
    """When things were so, and when not."""
    panel = _look(statetimeline.Panel(), title, description, "bool_yes_no", queries)
    panel.mappings(_YES_OR_NO).show_value(common.VisibilityMode.NEVER).merge_values(True)
    return panel.legend(_legend()).span(THIRD).height(8)


def yes_or_no(title: str, description: str, query: Dataquery) -> Panel:
    """Whether something is so: green, or red."""
    panel = _stat(title, description, "bool_yes_no", query).mappings(_YES_OR_NO)
    return panel.color_mode(common.BigValueColorMode.BACKGROUND)


def number(
    title: str,
    description: str,
    unit: str,
    query: Dataquery,
    *,
    width: int = EIGHTH,
    alarming: bool = False,
) -> Panel:
    """A number, as it is now; one that is alarming is red from 1 on."""
    steps = [Threshold(None, "green"), Threshold(1, "red")]
    thresholds = ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE)
    panel = _stat(title, description, unit, query).span(width).decimals(0)
    return panel.thresholds(thresholds.steps(steps if alarming else [Threshold(None, "blue")]))


def name(title: str, description: str, query: Dataquery, *, width: int = EIGHTH) -> Panel:
    """What the legend says, where the value means nothing."""
    panel = _stat(title, description, "none", query).span(width)
    return panel.text_mode(common.BigValueTextMode.NAME)


def _stat(title: str, description: str, unit: str, query: Dataquery) -> stat.Panel:
    panel = _look(stat.Panel(), title, description, unit, [query]).span(EIGHTH).height(4)
    return panel.reduce_options(_now()).graph_mode(common.BigValueGraphMode.NONE)


def _look(
    panel: _Look, title: str, description: str, unit: str, queries: Sequence[Dataquery]
) -> _Look:
    panel.title(title).description(description).unit(unit).datasource(DATASOURCE)
    for letter, each in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(each.ref_id(letter).datasource(DATASOURCE))
    return panel


def _now() -> ReduceDataOptions:
    return ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _legend() -> VizLegendOptions:
    legend = VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.LIST)
    return legend.placement(common.LegendPlacement.BOTTOM)


def _tooltip() -> VizTooltipOptions:
    """Of every curve at that time, the highest first."""
    tooltip = VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI)
    return tooltip.sort(common.SortOrder.DESCENDING)
