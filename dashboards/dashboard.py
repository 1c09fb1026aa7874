"""What both dashboards share: the choice of targets, the rows, and the way to the other one."""

from collections.abc import Iterable, Sequence
from typing import Final

from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from dashboards.panels import DATASOURCE, Panel

_TAG: Final = "supervisor"
_ALL: Final = VariableOption(selected=True, text=["All"], value=["$__all"])

Rows = Iterable[tuple[str, Sequence[Panel]]]
"""Each row's title and panels, whose widths make lines of 24 columns."""


def dashboard(uid: str, title: str, description: str, rows: Rows) -> str:
    """A dashboard as the JSON that Grafana reads."""
    board = _frame(uid, title, description)
    for row_title, panels in rows:
        board.with_row(Row(row_title))
        for panel in panels:
            board.with_panel(panel)
    built = board.build()
    # Numbered, so that a link to a single panel stays what it is.
    for number, panel_or_row in enumerate(built.panels or (), start=1):
        panel_or_row.id_val = number
    return JSONEncoder(indent=2, sort_keys=True).encode(built) + "\n"


def _frame(uid: str, title: str, description: str) -> Dashboard:
    board = Dashboard(title).uid(uid).description(description).tags([_TAG]).readonly()
    board.time("now-1h", "now").refresh("10s").timezone("browser")
    board.tooltip(DashboardCursorSync.CROSSHAIR)
    board.with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    board.with_variable(_targets("job", "Job", "supervisor_build_info"))
    board.with_variable(_targets("instance", "Instance", 'supervisor_build_info{job=~"$job"}'))
    return board.link(_to_the_others())


def _targets(label: str, title: str, series: str) -> QueryVariable:
    """A label of the scraped processes to choose from: of those that are supervisors."""
    variable = QueryVariable(label).label(title).datasource(DATASOURCE)
    variable.query(f"label_values({series}, {label})")
    variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    return variable.multi(True).include_all(True).all_value(".+").current(_ALL)


def _to_the_others() -> DashboardLink:
    """To every dashboard with our tag, for the same targets and the same time."""
    link = DashboardLink("Supervisor").type(DashboardLinkType.DASHBOARDS).tags([_TAG])
    return link.as_dropdown(False).include_vars(True).keep_time(True)
