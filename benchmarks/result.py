"""The result of a measurement: rows of a table, including the control of the baseline."""

from collections import defaultdict
from collections.abc import ItemsView, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from benchmarks.stats import Estimate, estimate, ratio

AGAIN = ", again"  # the control: the baseline compared with itself


class Verdict(StrEnum):
    """Whether a goal is reached, by the whole interval."""

    MET = "met"
    MISSED = "missed"
    UNCLEAR = "unclear"  # the limit lies within the interval


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit for the ratio to the baseline or, if `absolute`, for the value itself."""

    limit: float
    at_least: bool = False
    absolute: bool = False

    def verdict(self, found: Estimate) -> Verdict:
        """Compare the interval with the limit."""
        ends = [found.low >= self.limit, found.high >= self.limit]
        if not self.at_least:
            ends = [found.low <= self.limit, found.high <= self.limit]
        return Verdict.MET if all(ends) else Verdict.UNCLEAR if any(ends) else Verdict.MISSED


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of one contender. `ratio` is to the baseline, round by round.

    `control` is the ratio that the baseline has to itself.
    """

    what: str
    who: str
    unit: str
    value: Estimate
    ratio: Estimate | None = None
    control: Estimate | None = None
    goal: Goal | None = None

    @property
    def verdict(self) -> Verdict | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        found = self.value if self.goal.absolute else self.ratio
        assert found is not None
        return self.goal.verdict(found)

    @property
    def is_control(self) -> bool:
        """Whether this is the control."""
        return self.who.endswith(AGAIN)

    @property
    def is_noise(self) -> bool:
        """Whether the ratio cannot be distinguished from that of the control."""
        return bool(self.ratio and self.control and self.ratio.overlaps(self.control))


@dataclass(frozen=True, slots=True)
class Result:
    """The table of a measurement, the Python, and the load of the machine at its start."""

    name: str
    rows: Sequence[Row]
    began: str = ""
    python: str = ""
    load: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """The measurements of a run, and the machine."""

    machine: Mapping[str, str]
    quick: bool
    results: Sequence[Result]


@dataclass(slots=True)
class Rounds:
    """The values of all rounds: a list for each quantity and contender."""

    _values: defaultdict[tuple[str, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, what: str, who: str, value: float) -> None:
        """Add the value of a contender in a round."""
        self._values[what, who].append(value)

    def extend(self, later: "Rounds") -> None:
        """Append the values of later rounds."""
        for (what, who), values in later.items():
            self._values[what, who] += values

    def items(self) -> ItemsView[tuple[str, str], Sequence[float]]:
        """All lists of values, by quantity and contender."""
        return self._values.items()

    def values(self, what: str, who: str) -> Sequence[float]:
        """All values of a contender."""
        return self._values[what, who]

    def rows(
        self,
        what: str,
        unit: str,
        *,
        baseline: str | None = None,
        goals: dict[str, Goal] | None = None,
    ) -> list[Row]:
        """A row for each contender, in the order of their first values."""
        values = {who: found for (quantity, who), found in self._values.items() if quantity == what}
        ratios: dict[str, Estimate] = {}
        if baseline:
            ratios = {who: ratio(found, values[baseline]) for who, found in values.items()}
        control = ratios.get(f"{baseline}{AGAIN}")
        goals = goals or {}
        return [
            Row(what, who, unit, estimate(found), ratios.get(who), control, goals.get(who))
            for who, found in values.items()
        ]
