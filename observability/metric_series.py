"""Makes metrics, each with the series that are known from the start.

They are there at 0, so that rates are never missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from observability.label_values import UNKNOWN

_Metric = Counter | Gauge | Histogram
_Labelled = TypeVar("_Labelled", Counter, Gauge, Histogram)

WAIT_BUCKETS: Final = (0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
_REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class _JobNames(tuple[str, ...]):
    """Values of `job_name` to which a changed catalogue adds others."""

    __slots__ = ()


class Series:
    """The metrics of one registry, and their series. `jobs` are the values of `job_name`."""

    def __init__(self, jobs: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        self._made = frozenset(jobs)
        self.jobs: Sequence[str] = _JobNames((*sorted(self._made), UNKNOWN))
        self._by_job: list[tuple[_Metric, Mapping[str, Sequence[str]]]] = []

    def add_jobs(self, jobs: Iterable[str]) -> None:
        """Make the series of jobs that are new to the catalogue. Any thread may call this.

        Those of jobs that are gone from it stay, because their containers may not be gone.
        """
        new = frozenset(jobs) - self._made
        for metric, labels in self._by_job:
            _make_series(metric, {**labels, "job_name": sorted(new)})
        self._made |= new

    def counter(self, name: str, text: str, **labels: Sequence[str]) -> Counter:
        """A counter with a series for each combination of these label values."""
        return self._with_series(Counter(name, text, labels, registry=self.registry), labels)

    def gauge(self, name: str, text: str, **labels: Sequence[str]) -> Gauge:
        return self._with_series(Gauge(name, text, labels, registry=self.registry), labels)

    def histogram(
        self,
        name: str,
        text: str,
        *,
        buckets: Sequence[float] = _REQUEST_BUCKETS,
        **labels: Sequence[str],
    ) -> Histogram:
        histogram = Histogram(name, text, labels, buckets=buckets, registry=self.registry)
        return self._with_series(histogram, labels)

    def _with_series(self, metric: _Labelled, labels: Mapping[str, Sequence[str]]) -> _Labelled:
        _make_series(metric, labels)
        if isinstance(labels.get("job_name"), _JobNames):
            self._by_job.append((metric, labels))
        # Children are cached, which is safe because the sets of values are limited. Otherwise the
        # rate of dedups would miss its goal (docs/benchmarks.md).
        metric.labels = cache(metric.labels)  # type: ignore[method-assign]
        return metric


def _make_series(metric: _Metric, labels: Mapping[str, Sequence[str]]) -> None:
    for values in product(*labels.values()):
        if values:
            metric.labels(*values)
