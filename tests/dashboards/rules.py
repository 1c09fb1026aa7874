"""The rules of Grafana's dashboard linter, in our own words; each yields what it finds wrong.

The linter (github.com/grafana/dashboard-linter) is a Go program that no registry has packaged.
Where it looks at some kinds of panels alone, these look at all. Its two rules about LogQL have
nothing to look at here.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import promql_parser as promql

from dashboards.reading import filled_in

Json = Mapping[str, Any]
Finding = tuple[str, str]
"""The panel or variable, and what is wrong with it."""
Rule = Callable[[Json], Iterator[Finding]]

# Durations that nobody would write by hand.
_DURATIONS: Final = {"__rate_interval": "4321s", "__range": "8765s"}
_RATE_INTERVAL: Final = promql.parse_duration(_DURATIONS["__rate_interval"])
# Of Grafana's value formats, those that we use.
_UNITS: Final = {"none", "s", "bytes", "percentunit", "ops", "reqps", "cps", "cpm", "bool_yes_no"}
_CHOSEN: Final = {"$datasource", "${datasource}"}
_ON_TIME_RANGE_CHANGED: Final = 2


def template_datasource(board: Json) -> Iterator[Finding]:
    """The data source can be chosen."""
    found = [(v["name"], v["label"]) for v in _variables(board) if v["type"] == "datasource"]
    if found != [("datasource", "Data source")]:
        yield "", f"data sources to choose from: {found}"


def template_job(board: Json) -> Iterator[Finding]:
    """Prometheus' job can be chosen."""
    return _targets_to_choose(board, "job")


def template_instance(board: Json) -> Iterator[Finding]:
    """The instance can be chosen."""
    return _targets_to_choose(board, "instance")


def template_label_promql(board: Json) -> Iterator[Finding]:
    """What a variable is filled from can be asked."""
    for variable in _queried(board):
        form = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"])
        if form is None or _parsed(form[1]) is None:
            yield variable["name"], variable["query"]


def template_on_time_change_reload(board: Json) -> Iterator[Finding]:
    """Variables follow the time that is shown."""
    for variable in _queried(board):
        if variable["refresh"] != _ON_TIME_RANGE_CHANGED:
            yield variable["name"], str(variable["refresh"])


def panel_datasource(board: Json) -> Iterator[Finding]:
    """A panel uses the data source that was chosen, and so do its queries."""
    for panel in _panels(board):
        used = {each.get("datasource", {}).get("uid") for each in (panel, *panel["targets"])}
        if not used <= _CHOSEN:
            yield panel["title"], str(used)


def panel_title_description(board: Json) -> Iterator[Finding]:
    """A panel says what it shows."""
    for panel in _panels(board):
        if not panel.get("title") or not panel.get("description"):
            yield panel["title"], "no title or no description"


def panel_units(board: Json) -> Iterator[Finding]:
    """Numbers have a unit that Grafana knows."""
    for panel in _panels(board):
        unit = panel["fieldConfig"]["defaults"].get("unit")
        if unit not in _UNITS:
            yield panel["title"], str(unit)


def panel_no_targets(board: Json) -> Iterator[Finding]:
    """A panel asks something."""
    for panel in _panels(board):
        if not panel["targets"]:
            yield panel["title"], "no query"


def target_promql(board: Json) -> Iterator[Finding]:
    """A query can be parsed."""
    for title, expression in _expressions(board):
        if _parsed(expression) is None:
            yield title, expression


def target_rate_interval(board: Json) -> Iterator[Finding]:
    """A rate's window fits the scrapes and what is shown."""
    for title, call in _calls(board, "rate", "irate"):
        for argument in call.args:
            if argument.range != _RATE_INTERVAL:
                yield title, str(argument)


def target_job(board: Json) -> Iterator[Finding]:
    """A query looks at the chosen job alone."""
    return _unbound(board, "job")


def target_instance(board: Json) -> Iterator[Finding]:
    """A query looks at the chosen instance alone."""
    return _unbound(board, "instance")


def target_counter_agg(board: Json) -> Iterator[Finding]:
    """A counter is shown by how it grows."""
    grown = Counter(
        (title, str(argument.vector_selector))
        for title, call in _calls(board, "rate", "irate", "increase")
        for argument in call.args
    )
    counters = Counter(
        (title, str(selector))
        for title, selector in _selectors(board)
        if (selector.name or "").endswith("_total")
    )
    return iter(counters - grown)


def uneditable_dashboard(board: Json) -> Iterator[Finding]:
    """What is changed in Grafana would be lost."""
    if board["editable"]:
        yield "", "editable"


RULES: Final[tuple[Rule, ...]] = (
    template_datasource,
    template_job,
    template_instance,
    template_label_promql,
    template_on_time_change_reload,
    panel_datasource,
    panel_title_description,
    panel_units,
    panel_no_targets,
    target_promql,
    target_rate_interval,
    target_job,
    target_instance,
    target_counter_agg,
    uneditable_dashboard,
)


def _variables(board: Json) -> list[Json]:
    return list(board["templating"]["list"])


def _queried(board: Json) -> list[Json]:
    return [variable for variable in _variables(board) if variable["type"] == "query"]


def _targets_to_choose(board: Json, name: str) -> Iterator[Finding]:
    wanted = {"type": "query", "label": name.title(), "multi": True, "allValue": ".+"}
    found = [variable for variable in _variables(board) if variable["name"] == name]
    if len(found) != 1:
        yield name, f"{len(found)} variables"
    for variable in found:
        if not wanted.items() <= variable.items() or variable["datasource"]["uid"] not in _CHOSEN:
            yield name, str(variable)


def _panels(board: Json) -> list[Json]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def _expressions(board: Json) -> Iterator[tuple[str, str]]:
    for panel in _panels(board):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def _parsed(expression: str) -> promql.Expr | None:
    try:
        return promql.parse(filled_in(expression, _DURATIONS))
    except ValueError:
        return None


def _nodes(board: Json) -> Iterator[tuple[str, promql.Expr]]:
    """Every part of every query that can be parsed."""
    for title, expression in _expressions(board):
        if (parsed := _parsed(expression)) is not None:
            nodes: list[promql.Expr] = []
            promql.walk(parsed, nodes.append)
            yield from ((title, node) for node in nodes)


def _calls(board: Json, *functions: str) -> Iterator[tuple[str, promql.Call]]:
    for title, node in _nodes(board):
        if isinstance(node, promql.Call) and node.func.name in functions:
            yield title, node


def _selectors(board: Json) -> Iterator[tuple[str, promql.VectorSelector]]:
    for title, node in _nodes(board):
        if isinstance(node, promql.VectorSelector):
            yield title, node


def _unbound(board: Json, label: str) -> Iterator[Finding]:
    """Selectors that lack a label's matcher, which is a pattern since there may be many values."""
    for title, selector in _selectors(board):
        if f'{label}=~"${label}"' not in map(str, selector.matchers.matchers):
            yield title, str(selector)
