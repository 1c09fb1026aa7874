"""The Prometheus metrics. Names, labels and their values are an interface: see docs/metrics.md.

The values of labels come from fixed sets or from the catalogue. Known series exist from the start,
at 0, so that rates are never missing. The exception is the combination of job and reason, which
would be thousands of series: at the start, it exists for `unknown` only.
"""

from collections.abc import Iterable

from opentelemetry import trace
from prometheus_client import (
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from observability.engine_metrics import EngineMetrics
from observability.job_metrics import JobMetrics
from observability.label_values import UNKNOWN, Labels
from observability.metric_series import Series
from observability.port_metrics import PortMetrics
from observability.request_metrics import RequestMetrics
from observability.upkeep_metrics import UpkeepMetrics


class Metrics(JobMetrics, RequestMetrics, EngineMetrics, PortMetrics, UpkeepMetrics):
    """Every metric of the service, on a registry of its own. The bases make them, by theme."""

    def __init__(
        self, jobs: Iterable[str], labels: Labels, *, version: str, engine: str, mode: str
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._series = series = Series(jobs)
        self.registry = registry = series.registry
        self._jobs = frozenset(jobs)
        self._described: dict[str, tuple[str, bool]] = {}
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        JobMetrics.__init__(self, series, labels)
        RequestMetrics.__init__(self, series, labels)
        EngineMetrics.__init__(self, series, labels)
        PortMetrics.__init__(self, series, labels)
        UpkeepMetrics.__init__(self, series, labels)
        info = Info("supervisor_build", "What runs here.", registry=registry)
        info.info({"version": version, "engine": engine, "mode": mode})

    def job_label(self, name: str) -> str:
        """The label for a job name from a client, which may not be in the catalogue."""
        return name if name in self._jobs else UNKNOWN

    def make_series(self, jobs: Iterable[str]) -> None:
        """Make the series of jobs that are new to the catalogue. Any thread may call this.

        Those of jobs that are gone from it stay, because their containers may not be gone.
        """
        self._series.add_jobs(jobs)

    def know_jobs(self, jobs: Iterable[str]) -> None:
        """Have jobs that are new to the catalogue counted under their names."""
        self._jobs |= frozenset(jobs)

    def describe_job(self, name: str, *, kind: str, ends: bool) -> None:
        """Publish whether a job name is an action or a reaction, and whether its jobs should end.

        Alerts need this to know which exits matter.
        """
        if self._described.get(name) != (kind, ends):
            self._described[name] = kind, ends
            self.job_info.labels(name).info({"kind": kind, "ends": str(ends).lower()})

    def job_moved(
        self, name: str, before: str | None, after: str | None, live: int, node: str = ""
    ) -> None:
        """A job has changed its state. `live` is the change in the number of live containers.

        None is the state before the job exists, and after it is gone. `node` is the machine of the
        job, if the engine has several.
        """
        if before is not None:
            self.jobs.labels(before).dec()
        if after is not None:
            self.jobs.labels(after).inc()
        if live:
            self.jobs_running.labels(self.job_label(name)).inc(live)
            if node:
                self.jobs_by_node.labels(node).inc(live)
                self.kills_on_lost_nodes.labels(node)  # at 0, before the first one

    def count_failure(self, job: str, operation: str, reason: str) -> None:
        """Count a failed request."""
        self.failures.labels(self.job_label(job), operation, reason).inc()


def trace_exemplar(span: trace.Span | None = None) -> dict[str, str] | None:
    """The trace of a span, by default the current one, as an exemplar, if it is sampled."""
    context = (span or trace.get_current_span()).get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return None
    return {"trace_id": format(context.trace_id, "032x")}
