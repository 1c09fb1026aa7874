"""Medians with confidence intervals, and balanced rounds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_RESAMPLES = 5_000
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median with its 95 % confidence interval."""

    median: float
    low: float
    high: float

    def overlaps(self, other: "Estimate") -> bool:
        """Whether the intervals overlap, so that neither is clearly larger."""
        return self.low <= other.high and other.low <= self.high


def estimate(values: Sequence[float]) -> Estimate:
    """The median, with an interval from the medians of bootstrap samples."""
    sample = np.asarray(values, dtype=float)
    chosen = np.random.default_rng(0).integers(0, len(sample), (_RESAMPLES, len(sample)))
    low, high = np.percentile(np.median(sample[chosen], axis=1), _PERCENTILES)
    return Estimate(float(np.median(sample)), float(low), float(high))


def ratio(values: Sequence[float], baseline: Sequence[float]) -> Estimate:
    """The median ratio within rounds, in which both run under the same conditions."""
    return estimate([a / b for a, b in zip(values, baseline, strict=True)])


def percentile(values: Sequence[float], percent: float) -> float:
    """A percentile, which is one of the values."""
    return float(np.percentile(np.asarray(values), percent, method="higher"))


def interleaved(contenders: Sequence[T], rounds: int) -> Iterator[T]:
    """All items in each round, in the orders of a Williams design.

    After all rounds, each item has had each place, and has come after each of the
    others, equally often: so after-effects are balanced. Source: Williams,
    "Experimental designs balanced for the estimation of residual effects of treatments", 1949.
    """
    orders = _williams(len(contenders))
    for number in range(rounds):
        yield from (contenders[place] for place in orders[number % len(orders)])


def _williams(many: int) -> Sequence[Sequence[int]]:
    zigzag = [(step + 1) // 2 if step % 2 else -step // 2 % many for step in range(many)]
    orders = [[(first + step) % many for step in zigzag] for first in range(many)]
    return orders if many % 2 == 0 else [*orders, *(order[::-1] for order in orders)]
