"""What the generated dashboards ask of Prometheus: for the tests, and for the pictures."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FILES: Final = tuple(sorted((Path(__file__).parent / "grafana" / "dashboards").glob("*.json")))
"""The dashboards as Grafana gets them."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query of a panel."""

    expression: str
    legend: str
    exemplars: bool
    instant: bool

    def filled_in(self, variables: Mapping[str, str]) -> str:
        """The expression with Grafana's variables replaced."""
        return filled_in(self.expression, variables)


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel, or a row's title."""

    kind: str
    title: str
    unit: str
    place: Mapping[str, int]
    questions: tuple[Question, ...]
    raw: Mapping[str, Any]


def panels(file: Path) -> Iterator[Panel]:
    """The panels of a dashboard, and its rows, from the top down."""
    for raw in json.loads(file.read_text(encoding="utf-8"))["panels"]:
        yield Panel(
            kind=raw["type"],
            title=raw["title"],
            unit=raw.get("fieldConfig", {}).get("defaults", {}).get("unit", ""),
            place=raw["gridPos"],
            questions=tuple(_question(target) for target in raw.get("targets", ())),
            raw=raw,
        )


def choices(file: Path) -> Iterator[tuple[str, str]]:
    """What a dashboard's variables offer: the values of a label, and of which series."""
    for raw in json.loads(file.read_text(encoding="utf-8"))["templating"]["list"]:
        if raw["type"] == "query":
            series, label = raw["query"].removeprefix("label_values(").split(", ")
            yield label.removesuffix(")"), series


def _question(target: Mapping[str, Any]) -> Question:
    return Question(
        expression=target["expr"],
        legend=target["legendFormat"],
        exemplars=target.get("exemplar", False),
        instant=target.get("instant", False),
    )


def filled_in(expression: str, variables: Mapping[str, str]) -> str:
    """An expression with Grafana's variables replaced, the longest names first."""
    for name in sorted(variables, key=len, reverse=True):
        expression = expression.replace(f"${name}", variables[name])
    return expression


def as_grafana_would(*, scrape_interval: float, shown: float) -> dict[str, str]:
    """The variables, for all targets, a scrape interval and the time that is shown (seconds)."""
    return {
        "job": ".+",
        "instance": ".+",
        "__rate_interval": f"{4 * scrape_interval:g}s",
        "__range": f"{shown:.0f}s",
    }
