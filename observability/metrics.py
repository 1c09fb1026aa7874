"""The Prometheus metrics. Names, labels and their values are an interface: see docs.

Label values come from fixed sets or from the catalogue. Series that the catalogue knows exist
from the start, at 0, so that a rate over them is never missing; only the product of job and
reason would be thousands of lines, and is preset for `unknown` alone.
"""

from collections.abc import Iterable
from functools import cache
from itertools import product
from typing import Final

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

_Labelled = Counter | Gauge | Histogram

UNKNOWN: Final = "unknown"
OPERATIONS: Final = ("launch", "kill", "kill_all")
REASONS: Final = (
    "invalid",
    "unknown_job",
    "name_taken",
    "image_missing",
    "limit",
    "internal",
    "engine_refused",
    "unavailable",
    "timeout",
)
STATES: Final = ("starting", "running", "paused", "stopping", "exited")
LAUNCH_STATES: Final = ("under_way", "waiting", "limit")
LAUNCH_OUTCOMES: Final = ("launched", "dedup", "failed")
KILL_OUTCOMES: Final = ("stopped", "forced", "not_running", "failed")
EXIT_OUTCOMES: Final = ("success", "ended", "error", "oom", "killed", "lost")
ENGINE_OPERATIONS: Final = (
    "ping", "create", "start", "stop", "kill", "remove", "inspect", "list", "logs", "events",
    "top", "info", "rename",
)  # fmt: skip
# What a call to the Engine can fail with; the other reasons are found before it is asked.
ENGINE_REASONS: Final = (
    "name_taken", "image_missing", "engine_refused", "unavailable", "timeout",
)  # fmt: skip
WORKER_STATES: Final = ("busy", "limit", "queued")

_REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LIFE_BUCKETS: Final = (1, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400)


class Metrics:
    """Every metric of the service, on a registry of its own."""

    def __init__(self, jobs: Iterable[str], *, version: str, engine: str, mode: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._jobs = frozenset(jobs)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._make_job_metrics()
        self._make_engine_metrics()
        self._make_grpc_metrics()
        self.log_lines_dropped = Counter(
            "supervisor_log_lines_dropped",
            "Lines of the log that could not be written.",
            registry=registry,
        )
        info = Info("supervisor_build", "What runs here.", registry=registry)
        info.info({"version": version, "engine": engine, "mode": mode})
        self._keep_children()
        self._preset()

    def job_label(self, name: str) -> str:
        """The `job_name` of a name that a client may have made up."""
        return name if name in self._jobs else UNKNOWN

    def describe_job(self, name: str, *, kind: str, ends: bool) -> None:
        """Say what a job of the catalogue is: `kind` is action or reaction.

        `ends` tells an action that ends by itself from one that has to go on. Without this an
        alert cannot know whose exit matters.
        """
        self.job_info.labels(name).info({"kind": kind, "ends": str(ends).lower()})

    def job_moved(self, name: str, before: str | None, after: str | None, live: int) -> None:
        """A job went from one state to another; `live` is the change of live containers.

        None is the state of what is not there yet, or not any more.
        """
        if before is not None:
            self.jobs.labels(before).dec()
        if after is not None:
            self.jobs.labels(after).inc()
        if live:
            self.jobs_running.labels(self.job_label(name)).inc(live)

    def failed(self, job: str, operation: str, reason: str) -> None:
        """A request could not be carried out."""
        self.failures.labels(self.job_label(job), operation, reason).inc()

    def _make_job_metrics(self) -> None:
        r = self.registry
        name = ["job_name"]
        self.jobs_running = Gauge("supervisor_jobs_running", "Live containers.", name, registry=r)
        self.jobs = Gauge("supervisor_jobs", "Jobs by state.", ["state"], registry=r)
        self.launches = Counter("supervisor_launches", "Containers started.", name, registry=r)
        self.adoptions = Counter(
            "supervisor_adoptions",
            "Containers that ran already and were taken over.",
            name,
            registry=r,
        )
        self.dedups = Counter(
            "supervisor_dedups", "Launches answered by a job that already runs.", name, registry=r
        )
        self.failures = Counter(
            "supervisor_failures",
            "Launches and kills that failed.",
            [*name, "operation", "reason"],
            registry=r,
        )
        self.kills = Counter(
            "supervisor_kills", "Kills by how they went.", [*name, "outcome"], registry=r
        )
        self.exits = Counter(
            "supervisor_exits", "Containers that ended, by how.", [*name, "outcome"], registry=r
        )
        self.early_exits = Counter(
            "supervisor_early_exits",
            "Containers that ended badly within ten seconds of their start.",
            name,
            registry=r,
        )
        self.exits_by_others = Counter(
            "supervisor_exits_by_others",
            "Containers that somebody else has ended.",
            name,
            registry=r,
        )
        self.launch_duration = Histogram(
            "supervisor_launch_duration_seconds",
            "From the request to a running container.",
            ["outcome"],
            buckets=_REQUEST_BUCKETS,
            registry=r,
        )
        self.kill_duration = Histogram(
            "supervisor_kill_duration_seconds",
            "From the intent to a container that is gone.",
            ["outcome"],
            buckets=_REQUEST_BUCKETS,
            registry=r,
        )
        self.job_duration = Histogram(
            "supervisor_job_duration_seconds",
            "The life of a container.",
            ["outcome"],
            buckets=_LIFE_BUCKETS,
            registry=r,
        )

        self.job_info = Info("supervisor_job", "The jobs of the catalogue.", name, registry=r)

        self.launches_in_progress = Gauge(
            "supervisor_launches_in_progress",
            "Launches under way, launches that wait, and how many of both there may be.",
            ["state"],
            registry=r,
        )

    def _make_engine_metrics(self) -> None:
        r = self.registry
        self.ready = Gauge("supervisor_ready", "1 while requests are taken.", registry=r)
        self.engine_up = Gauge("supervisor_engine_up", "1 while the Engine answers.", registry=r)
        self.engine_duration = Histogram(
            "supervisor_engine_operation_duration_seconds",
            "Each call to the Engine.",
            ["operation"],
            buckets=_REQUEST_BUCKETS,
            registry=r,
        )
        self.engine_errors = Counter(
            "supervisor_engine_errors",
            "Calls to the Engine that failed.",
            ["operation", "reason"],
            registry=r,
        )
        self.stream_reconnects = Counter(
            "supervisor_event_stream_reconnects",
            "Connections to the Engine's events after the first.",
            registry=r,
        )
        self.reconciled_at = Gauge(
            "supervisor_reconcile_last_success_timestamp_seconds",
            "When the registry was last compared with the Engine.",
            registry=r,
        )
        self.orphans = Gauge(
            "supervisor_orphans",
            "Containers of ours that are nobody's job, when last compared.",
            registry=r,
        )
        self.orphans_removed = Counter(
            "supervisor_orphans_removed",
            "Containers of earlier runs and failed starts that were removed.",
            registry=r,
        )
        self.engine_workers = Gauge(
            "supervisor_engine_workers", "Threads that talk to the Engine.", ["state"], registry=r
        )

    def _make_grpc_metrics(self) -> None:
        r = self.registry
        # Names and labels as gRPC proposal A66 has them, in Prometheus' spelling.
        self.grpc_started = Counter(
            "grpc_server_call_started", "Calls that have begun.", ["grpc_method"], registry=r
        )
        self.grpc_duration = Histogram(
            "grpc_server_call_duration_seconds",
            "From the first byte of a call to its status.",
            ["grpc_method", "grpc_status"],
            buckets=_REQUEST_BUCKETS,
            registry=r,
        )

    def _keep_children(self) -> None:
        """Find the child of some labels at a tenth of the cost: they are from fixed sets."""
        for metric in vars(self).values():
            if isinstance(metric, _Labelled):
                metric.labels = cache(metric.labels)  # type: ignore[assignment]

    def _preset(self) -> None:
        jobs = (*sorted(self._jobs), UNKNOWN)
        label_sets: dict[_Labelled, tuple[Iterable[str], ...]] = {
            self.jobs_running: (jobs,),
            self.jobs: (STATES,),
            self.launches: (jobs,),
            self.adoptions: (jobs,),
            self.dedups: (jobs,),
            self.failures: ((UNKNOWN,), OPERATIONS, REASONS),
            self.kills: (jobs, KILL_OUTCOMES),
            self.exits: (jobs, EXIT_OUTCOMES),
            self.early_exits: (jobs,),
            self.exits_by_others: (jobs,),
            self.launches_in_progress: (LAUNCH_STATES,),
            self.launch_duration: (LAUNCH_OUTCOMES,),
            self.kill_duration: (KILL_OUTCOMES,),
            self.job_duration: (EXIT_OUTCOMES,),
            self.engine_duration: (ENGINE_OPERATIONS,),
            self.engine_errors: (ENGINE_OPERATIONS, ENGINE_REASONS),
            self.engine_workers: (WORKER_STATES,),
        }
        for metric, sets in label_sets.items():
            for labels in product(*sets):
                metric.labels(*labels)


def trace_exemplar() -> dict[str, str] | None:
    """The current trace as an exemplar, where it is one that is kept."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return None
    return {"trace_id": format(context.trace_id, "032x")}
