"""The Prometheus metrics. Names, labels and their values are an interface: see docs/metrics.md.

The values of labels come from fixed sets or from the catalogue. Known series exist from the start,
at 0, so that rates are never missing. The exception is the combination of job and reason, which
would be thousands of series: at the start, it exists for `unknown` only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final, Literal, TypeVar, get_args

from opentelemetry import trace
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

_Metric = Counter | Gauge | Histogram
_Labelled = TypeVar("_Labelled", Counter, Gauge, Histogram)

UNKNOWN: Final = "unknown"

LaunchQueue = Literal["room", "slot"]
"""What launches wait for in turn: the end of other jobs, or of other launches."""

CrashReportOutcome = Literal["sent", "failed", "dropped"]
"""What has become of a report: answered; refused or not answered; never sent."""

TLS_PORTS: Final = ("grpc", "http")
HANDSHAKE_REASONS: Final = (
    "no_certificate",
    "bad_certificate",
    "refused",
    "old_tls",
    "no_tls",
    "other",
)

_REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_WAIT_BUCKETS: Final = (0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
_PULL_BUCKETS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800)
_LIFE_BUCKETS: Final = (1, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The label values that are defined by types of the service."""

    states: Sequence[str]
    operations: Sequence[str]
    reasons: Sequence[str]
    launch_outcomes: Sequence[str]
    kill_outcomes: Sequence[str]
    exit_outcomes: Sequence[str]
    engine_calls: Sequence[str]
    engine_reasons: Sequence[str]
    pull_outcomes: Sequence[str]
    auth_reasons: Sequence[str]
    retention_limits: Sequence[str]
    history_faults: Sequence[str]


class _JobNames(tuple[str, ...]):
    """Values of `job_name` to which a changed catalogue adds others."""

    __slots__ = ()


class Metrics:
    """Every metric of the service, on a registry of its own."""

    def __init__(
        self, jobs: Iterable[str], labels: Labels, *, version: str, engine: str, mode: str
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._jobs = self._with_all_series = frozenset(jobs)
        self._described: dict[str, tuple[str, bool]] = {}
        self._by_job: list[tuple[_Metric, Mapping[str, Sequence[str]]]] = []
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        names = _JobNames((*sorted(self._jobs), UNKNOWN))
        self._make_job_metrics(names, labels)
        self._make_request_metrics(names, labels)
        self._make_durations(labels)
        self._make_engine_metrics(labels)
        self._make_pull_metrics(labels)
        self._make_watch_metrics(labels)
        self._make_client_watch_metrics()
        self._make_grpc_metrics()
        self._make_crash_report_metrics()
        self._make_access_metrics(labels)
        self._make_catalog_metrics()
        self._make_tls_metrics()
        self._make_history_metrics(labels)
        info = Info("supervisor_build", "What runs here.", registry=registry)
        info.info({"version": version, "engine": engine, "mode": mode})

    def job_label(self, name: str) -> str:
        """The label for a job name from a client, which may not be in the catalogue."""
        return name if name in self._jobs else UNKNOWN

    def make_series(self, jobs: Iterable[str]) -> None:
        """Make the series of jobs that are new to the catalogue. Any thread may call this.

        Those of jobs that are gone from it stay, because their containers may not be gone.
        """
        new = frozenset(jobs) - self._with_all_series
        for metric, labels in self._by_job:
            _make_series(metric, {**labels, "job_name": sorted(new)})
        self._with_all_series |= new

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

    def _make_job_metrics(self, jobs: Sequence[str], labels: Labels) -> None:
        self.job_info = Info(
            "supervisor_job", "The jobs of the catalogue.", ["job_name"], registry=self.registry
        )
        self.jobs_running = self._gauge(
            "supervisor_jobs_running", "Live containers.", job_name=jobs
        )
        self.jobs_unhealthy = self._gauge(
            "supervisor_jobs_unhealthy",
            "Live containers whose health check says that they are not healthy.",
            job_name=jobs,
        )
        self.jobs_by_node = self._gauge(
            "supervisor_jobs_by_node", "Live containers by node of a Swarm.", node=[]
        )
        self.jobs = self._gauge("supervisor_jobs", "Jobs by state.", state=labels.states)
        self.exits = self._counter(
            "supervisor_exits",
            "Containers that ended, by how.",
            job_name=jobs,
            outcome=labels.exit_outcomes,
        )
        self.early_exits = self._counter(
            "supervisor_early_exits",
            "Containers that ended badly within ten seconds of their start.",
            job_name=jobs,
        )
        self.exits_by_others = self._counter(
            "supervisor_exits_by_others", "Containers that somebody else has ended.", job_name=jobs
        )

    def _make_request_metrics(self, jobs: Sequence[str], labels: Labels) -> None:
        self.launches = self._counter("supervisor_launches", "Containers started.", job_name=jobs)
        self.adoptions = self._counter(
            "supervisor_adoptions",
            "Containers that ran already and were taken over.",
            job_name=jobs,
        )
        self.restarts = self._counter(
            "supervisor_restarts", "Containers that ended and were started again.", job_name=jobs
        )
        self.dedups = self._counter(
            "supervisor_dedups", "Launches answered by a job that already runs.", job_name=jobs
        )
        self.failures = self._counter(
            "supervisor_failures",
            "Launches and kills that failed.",
            job_name=[UNKNOWN],
            operation=labels.operations,
            reason=labels.reasons,
        )
        self.kills = self._counter(
            "supervisor_kills",
            "Kills by how they went.",
            job_name=jobs,
            outcome=labels.kill_outcomes,
        )
        self.launches_in_progress = self._gauge(
            "supervisor_launches_in_progress",
            "Launches under way, launches that wait, and how many of both there may be.",
            state=["under_way", "waiting", "limit"],
        )
        self.launches_waiting = self._gauge(
            "supervisor_launches_waiting",
            "Launches that wait in a queue: for other jobs to end, or for other launches.",
            queue=get_args(LaunchQueue),
        )

    def _make_durations(self, labels: Labels) -> None:
        self.launch_duration = self._histogram(
            "supervisor_launch_duration_seconds",
            "From the request to a running container.",
            outcome=labels.launch_outcomes,
        )
        self.launch_wait_duration = self._histogram(
            "supervisor_launch_wait_duration_seconds",
            "How long launches have waited in a queue, of those that had to.",
            buckets=_WAIT_BUCKETS,
            queue=get_args(LaunchQueue),
        )
        self.kill_duration = self._histogram(
            "supervisor_kill_duration_seconds",
            "From the intent to a container that is gone.",
            outcome=labels.kill_outcomes,
        )
        self.job_duration = self._histogram(
            "supervisor_job_duration_seconds",
            "The life of a container.",
            buckets=_LIFE_BUCKETS,
            outcome=labels.exit_outcomes,
        )

    def _make_engine_metrics(self, labels: Labels) -> None:
        self.engine_up = self._gauge("supervisor_engine_up", "1 while the Engine answers.")
        self.engine_duration = self._histogram(
            "supervisor_engine_operation_duration_seconds",
            "Each call to the Engine.",
            operation=labels.engine_calls,
        )
        self.engine_errors = self._counter(
            "supervisor_engine_errors",
            "Calls to the Engine that failed.",
            operation=labels.engine_calls,
            reason=labels.engine_reasons,
        )
        self.engine_workers = self._gauge(
            "supervisor_engine_workers",
            "Threads that talk to the Engine.",
            state=["busy", "limit", "queued"],
        )
        self.kills_on_lost_nodes = self._counter(
            "supervisor_kills_on_lost_nodes",
            "Kills of jobs whose node of a Swarm was gone, and may still run them.",
            node=[],
        )
        self.stream_reconnects = self._counter(
            "supervisor_event_stream_reconnects",
            "Connections to the Engine's events after the first.",
        )

    def _make_pull_metrics(self, labels: Labels) -> None:
        self.pulls_in_progress = self._gauge(
            "supervisor_pulls_in_progress",
            "Pulls of images under way, pulls that wait, and how many there may be at once.",
            state=["under_way", "waiting", "limit"],
        )
        self.pull_wait_duration = self._histogram(
            "supervisor_pull_wait_duration_seconds",
            "How long pulls of images have waited for others, of those that had to.",
            buckets=_WAIT_BUCKETS,
        )
        self.pull_duration = self._histogram(
            "supervisor_pull_duration_seconds",
            "Each pull of an image, without its wait for others.",
            buckets=_PULL_BUCKETS,
            outcome=labels.pull_outcomes,
        )

    def _make_watch_metrics(self, labels: Labels) -> None:
        self.ready = self._gauge("supervisor_ready", "1 while requests are taken.")
        self.cordoned = self._gauge(
            "supervisor_cordoned", "1 while an operator has new launches refused."
        )
        self.reconciled_at = self._gauge(
            "supervisor_reconcile_last_success_timestamp_seconds",
            "When the registry was last compared with the Engine.",
        )
        self.orphans = self._gauge(
            "supervisor_orphans", "Containers of ours that are nobody's job, when last compared."
        )
        self.orphans_removed = self._counter(
            "supervisor_orphans_removed",
            "Containers of earlier runs and failed starts that were removed.",
        )
        self.retention_removed = self._counter(
            "supervisor_retention_removed",
            "Exited containers that development kept, and that were too many or too old.",
            limit=labels.retention_limits,
        )
        self.log_lines_dropped = self._counter(
            "supervisor_log_lines_dropped", "Lines of the log that could not be written."
        )

    def _make_crash_report_metrics(self) -> None:
        self.crash_reports = self._counter(
            "supervisor_crash_reports",
            "Reports of failed jobs to the backend, by what has become of them.",
            outcome=get_args(CrashReportOutcome),
        )
        self.crash_reports_waiting = self._gauge(
            "supervisor_crash_reports_waiting", "Reports of failed jobs that are not sent yet."
        )

    def _make_client_watch_metrics(self) -> None:
        self.watches_open = self._gauge("supervisor_watches_open", "Open calls of WatchJobs.")
        self.watches_too_slow = self._counter(
            "supervisor_watches_too_slow",
            "Calls of WatchJobs that ended because their clients are too slow.",
        )

    def _make_catalog_metrics(self) -> None:
        self.catalog_reload_success = self._gauge(
            "supervisor_catalog_reload_success",
            "1 if the catalogue was in order when its file was last read.",
        )
        self.catalog_reload_success_at = self._gauge(
            "supervisor_catalog_reload_success_timestamp_seconds",
            "When the catalogue in use was read.",
        )

    def _make_grpc_metrics(self) -> None:
        # The names and labels of gRPC proposal A66, in Prometheus' spelling. No series exists
        # before the first call, because clients choose the methods.
        self.grpc_started = self._counter(
            "grpc_server_call_started", "Calls that have begun.", grpc_method=[]
        )
        self.grpc_duration = self._histogram(
            "grpc_server_call_duration_seconds",
            "From the first byte of a call to its status.",
            grpc_method=[],
            grpc_status=[],
        )

    def _make_access_metrics(self, labels: Labels) -> None:
        self.auth_failures = self._counter(
            "supervisor_auth_failures", "Calls that were refused.", reason=labels.auth_reasons
        )
        self.access_reload_success = self._gauge(
            "supervisor_access_reload_success",
            "1 if the access file was in order when it was last read; 0 without one.",
        )
        self.access_reload_success_at = self._gauge(
            "supervisor_access_reload_success_timestamp_seconds",
            "When the access file in use was read; 0 without one.",
        )

    def _make_tls_metrics(self) -> None:
        self.tls_certificate = self._gauge(
            "supervisor_tls_certificate_timestamp_seconds",
            "From when and until when the certificate in use is valid; 0 without TLS.",
            port=TLS_PORTS,
            edge=["not_before", "not_after"],
        )
        self.tls_files_refused = self._gauge(
            "supervisor_tls_files_refused",
            "1 while the files of a port do not fit, and the certificate before is in use.",
            port=TLS_PORTS,
        )
        self.tls_handshake_failures = self._counter(
            "supervisor_tls_handshake_failures",
            "Connections that failed before they could be used.",
            port=TLS_PORTS,
            reason=HANDSHAKE_REASONS,
        )

    def _make_history_metrics(self, labels: Labels) -> None:
        self.history_jobs = self._gauge(
            "supervisor_history_jobs",
            "Jobs that have ended and are kept: in the file, or in memory only.",
            place=["file", "memory"],
        )
        self.history_bytes = self._gauge(
            "supervisor_history_bytes", "The size of the history's file; 0 without one."
        )
        self.history_fault = self._gauge(
            "supervisor_history_fault",
            "1 while the history's file cannot be used, by why.",
            reason=labels.history_faults,
        )
        self.history_dropped = self._counter(
            "supervisor_history_dropped",
            "Jobs that have ended and could not be kept, because the file cannot be used.",
        )

    def _counter(self, name: str, text: str, **labels: Sequence[str]) -> Counter:
        """A counter with a series for each combination of these label values."""
        return self._with_series(Counter(name, text, labels, registry=self.registry), labels)

    def _gauge(self, name: str, text: str, **labels: Sequence[str]) -> Gauge:
        return self._with_series(Gauge(name, text, labels, registry=self.registry), labels)

    def _histogram(
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


def trace_exemplar() -> dict[str, str] | None:
    """The current trace as an exemplar, if it is sampled."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return None
    return {"trace_id": format(context.trace_id, "032x")}
