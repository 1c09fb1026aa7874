"""The second look, when the first one shows that something is wrong: what the process does."""

from dashboards.dashboard import dashboard
from dashboards.panels import HALF, QUARTER, SIXTH, THIRD, Panel, lines, name, number
from dashboards.promql import (
    in_range,
    jobs_by,
    latest,
    per_minute,
    quantile,
    query,
    rate,
    series,
    short_method,
    total_of_jobs,
)

_OPERATIONS = "supervisor_engine_operation_duration_seconds"
_CALLS = "grpc_server_call_duration_seconds"
# Those that a call to us can end with.
_STATUSES = (
    "OK", "CANCELLED", "DEADLINE_EXCEEDED", "INVALID_ARGUMENT",
    "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN",
)  # fmt: skip
_COMPARED = f"time() - min({series('supervisor_reconcile_last_success_timestamp_seconds')} > 0)"

# Without TLS, the end of the certificate is 0.
_NOT_AFTER = series("supervisor_tls_certificate_timestamp_seconds", 'edge="not_after"')
_LEFT = f"min by (port) (clamp_min({_NOT_AFTER} - time(), 0))"


def inside() -> str:
    """The dashboard as JSON."""
    return dashboard(
        "supervisor-inside",
        "Supervisor: inside",
        "The Engine's calls, the threads that make them, the event stream, gRPC, the process.",
        [
            ("Now", _now()),
            ("The Docker Engine", _engine()),
            ("The pulls of images", _pulls()),
            ("The nodes of a Swarm", _nodes()),
            ("Queues, and in step with the Engine", _in_step()),
            ("gRPC", _grpc()),
            ("The process", _process()),
        ],
    )


def _now() -> list[Panel]:
    return [
        name(
            "What runs here",
            "Version, engine and mode.",
            latest(series("supervisor_build_info"), "{{version}}, {{engine}}, {{mode}}"),
            width=SIXTH,
        ),
        number(
            "Adopted",
            "Containers that ran already and were taken over, since the process started.",
            "none",
            latest(f"sum({series('supervisor_adoptions_total')})", "adopted"),
            width=SIXTH,
        ),
        number(
            "Orphans",
            "Containers of ours that are nobody's job, when last compared. They are removed after"
            " a grace.",
            "none",
            latest(total_of_jobs("supervisor_orphans"), "orphans"),
            width=SIXTH,
        ),
        number(
            "Orphans removed",
            "Since the process started: what earlier runs and failed starts had left.",
            "none",
            latest(f"sum({series('supervisor_orphans_removed_total')})", "removed"),
            width=SIXTH,
        ),
        number(
            "Reconnects",
            "Connections to the Engine's events after the first, in the time shown.",
            "none",
            latest(in_range("supervisor_event_stream_reconnects_total"), "reconnects"),
            width=SIXTH,
        ),
        number(
            "Last comparison",
            "How long ago the registry was compared with the Engine's list: every 30 s, and after"
            " each gap.",
            "s",
            latest(_COMPARED, "ago"),
            width=SIXTH,
        ),
    ]


def _engine() -> list[Panel]:
    return [
        lines(
            "Engine calls",
            "By operation. A ping each second and a list each 30 s are the watcher's.",
            "ops",
            query(f"sum by (operation) ({rate(f'{_OPERATIONS}_count')})", "{{operation}}"),
            stacked=True,
        ),
        lines(
            "Engine latency, p95",
            "By operation, a wait for a thread included. A stop takes as long as the worker, up to"
            " the grace.",
            "s",
            query(quantile(0.95, _OPERATIONS, by=["operation"]), "{{operation}}"),
        ),
        lines(
            "Engine errors by reason",
            "Calls that failed. A container that was gone already is no failure.",
            "cpm",
            query(per_minute("supervisor_engine_errors_total", by=["reason"]), "{{reason}}"),
            stacked=True,
        ),
    ]


def _pulls() -> list[Panel]:
    in_progress = series("supervisor_pulls_in_progress", 'state!="limit"')
    waited = quantile(0.95, "supervisor_pull_wait_duration_seconds")
    return [
        lines(
            "Pulls in progress",
            "With the Engine (under_way) and waiting for their turn, past MAX_PULLS. 0 if the"
            " catalogue lets nothing be pulled.",
            "none",
            query(f"sum by (state) ({in_progress})", "{{state}}"),
            width=THIRD,
        ),
        lines(
            "How long pulls have waited, p95",
            "For others, past MAX_PULLS; of those that had to.",
            "s",
            query(f"({waited} >= 0) or 0 * sum({in_progress})", "p95"),
            width=THIRD,
        ),
        lines(
            "Pulls by outcome",
            "Those that have ended. Cancelled is what no launch waited for any more.",
            "cpm",
            query(
                per_minute("supervisor_pull_duration_seconds_count", by=["outcome"]), "{{outcome}}"
            ),
            width=THIRD,
            stacked=True,
        ),
    ]


def _nodes() -> list[Panel]:
    """With any other engine there are none."""
    none = "or on () vector(0)"
    killed = f"increase({series('supervisor_kills_on_lost_nodes_total')}[$__rate_interval])"
    return [
        lines(
            "Running, by node",
            "Live containers. 0 with an engine that is no Swarm.",
            "none",
            query(f"{jobs_by('supervisor_jobs_by_node', label='node')} {none}", "{{node}}"),
            width=HALF,
        ),
        lines(
            "Kills on lost nodes",
            "Jobs whose node was gone when they were killed, within a rate's window. They may run"
            " there until the node is back.",
            "none",
            query(f"sum by (node) ({killed}) {none}", "{{node}}"),
            width=HALF,
        ),
    ]


def _in_step() -> list[Panel]:
    in_progress = series("supervisor_launches_in_progress", 'state!="limit"')
    return [
        lines(
            "Launches in progress",
            "With the Engine (under_way) and waiting for their turn. Past MAX_LAUNCHES_UNDER_WAY"
            " they wait, past MAX_LAUNCHES_WAITING they are refused.",
            "none",
            query(f"sum by (state) ({in_progress})", "{{state}}"),
            width=QUARTER,
        ),
        lines(
            "Threads",
            "Busy with a call to the Engine; calls that are queued for one; how many there are.",
            "none",
            query(f"sum by (state) ({series('supervisor_engine_workers')})", "{{state}}"),
            width=QUARTER,
        ),
        lines(
            "Reconnects of the event stream",
            "Within a rate's window. One is an Engine that restarted; many are a bad way to it.",
            "none",
            query(
                f"increase({series('supervisor_event_stream_reconnects_total')}[$__rate_interval])",
                "{{instance}}",
            ),
            width=QUARTER,
        ),
        lines(
            "Age of the last comparison",
            "Grows to 30 s and falls to 0. Beyond that the registry is not known to be true.",
            "s",
            query(_COMPARED, "age"),
            width=QUARTER,
        ),
        *_waits(),
    ]


def _waits() -> list[Panel]:
    waiting = series("supervisor_launches_waiting")
    waited = quantile(0.95, "supervisor_launch_wait_duration_seconds", by=["queue"])
    return [
        lines(
            "Launches that wait in turn",
            "For the end of other jobs (room), and for other launches (slot). The highest priority"
            " goes first, and equal ones in turn by job name.",
            "none",
            query(f"sum by (queue) ({waiting})", "{{queue}}"),
            width=HALF,
        ),
        lines(
            "How long they have waited, p95",
            "Of those that had to. Who waits for room gives up after WAIT_SECONDS.",
            "s",
            query(f"({waited} >= 0) or 0 * sum by (queue) ({waiting})", "{{queue}}"),
            width=HALF,
        ),
    ]


def _grpc() -> list[Panel]:
    return [
        lines(
            "gRPC calls by method",
            "As they begin. Health is what orchestrators ask for.",
            "reqps",
            query(
                short_method(f"sum by (grpc_method) ({rate('grpc_server_call_started_total')})"),
                "{{method}}",
            ),
            stacked=True,
        ),
        lines(
            "gRPC calls by status",
            "The status on the wire. A launch that fails is OK here, and has its error inside.",
            "reqps",
            query(f"sum by (grpc_status) ({rate(f'{_CALLS}_count')})", "{{grpc_status}}"),
            stacked=True,
            known=_STATUSES,
        ),
        lines(
            "gRPC latency by method, p95",
            "From the first byte to the status. Each dot is a call: a click opens its trace.",
            "s",
            query(
                short_method(quantile(0.95, _CALLS, by=["grpc_method"])),
                "{{method}}",
                exemplars=True,
            ),
        ),
        lines(
            "Failed TLS handshakes by reason",
            "Connections that TLS has refused; of both ports. 0 without TLS.",
            "cpm",
            query(
                per_minute("supervisor_tls_handshake_failures_total", by=["reason"]), "{{reason}}"
            ),
            stacked=True,
        ),
        lines(
            "Certificates: time left",
            "Until the certificate in use expires. 0 without TLS.",
            "s",
            query(_LEFT, "{{port}}"),
        ),
        lines(
            "Refused files",
            "1 while changed files have a fault, and what they said before is in use: certificates,"
            " by port, the access file, and the catalogue.",
            "none",
            query(
                f"max by (port) ({series('supervisor_tls_files_refused')})",
                "certificate, {{port}}",
            ),
            query(_refused("supervisor_access_reload_success"), "access file"),
            query(_refused("supervisor_catalog_reload_success"), "catalogue"),
        ),
        lines(
            "Watches",
            "Open calls of WatchJobs.",
            "none",
            query(series("supervisor_watches_open"), "{{instance}}"),
            width=HALF,
        ),
        lines(
            "Watches that were too slow",
            "Calls of WatchJobs that ended because their clients are too slow. They come back.",
            "cpm",
            query(per_minute("supervisor_watches_too_slow_total", by=["instance"]), "{{instance}}"),
            width=HALF,
        ),
    ]


def _refused(success: str) -> str:
    """1 while a changed file is refused, 0 if there is none; `success` is of its last reading."""
    return f"max(({series(f'{success}_timestamp_seconds')} > bool 0) - {series(success)})"


def _process() -> list[Panel]:
    return [
        lines(
            "CPU",
            "Of one core. Python runs on one at a time, so that near 100 % all calls get slow.",
            "percentunit",
            query(f"sum by (instance) ({rate('process_cpu_seconds_total')})", "{{instance}}"),
        ),
        lines(
            "Memory",
            "Resident: what the process holds.",
            "bytes",
            query(series("process_resident_memory_bytes"), "{{instance}}"),
        ),
        lines(
            "File descriptors",
            "Open ones, of as many as there may be.",
            "percentunit",
            query(f"{series('process_open_fds')} / {series('process_max_fds')}", "{{instance}}"),
        ),
        lines(
            "Garbage collections",
            "By generation; those of generation 2 hold everything up for the longest.",
            "cps",
            query(
                f"sum by (generation) ({rate('python_gc_collections_total')})",
                "generation {{generation}}",
            ),
        ),
        lines(
            "Log lines dropped",
            "Lines that could not be written: a full disk, or nobody who reads them.",
            "cpm",
            query(
                per_minute("supervisor_log_lines_dropped_total", by=["instance"]), "{{instance}}"
            ),
        ),
        lines(
            "Kept containers removed, by limit",
            "Exited containers that development has kept, past RETAIN_EXITED_COUNT (count) or"
            " RETAIN_EXITED_HOURS (hours). 0 in production, which keeps none.",
            "cpm",
            query(per_minute("supervisor_retention_removed_total", by=["limit"]), "{{limit}}"),
        ),
        lines(
            "History",
            "Jobs that have ended and are kept: in the file, or in memory only.",
            "none",
            query(series("supervisor_history_jobs"), "{{place}}"),
        ),
        lines(
            "History: what is wrong",
            "1 while its file cannot be used, by why; and how many jobs could not be kept. 0 is as"
            " it should be, or without a file.",
            "none",
            query(f"max by (reason) ({series('supervisor_history_fault')})", "{{reason}}"),
            query(
                f"sum(increase({series('supervisor_history_dropped_total')}[$__rate_interval]))",
                "jobs not kept",
            ),
        ),
        lines(
            "History's file",
            "Its size, with its log.",
            "bytes",
            query(series("supervisor_history_bytes"), "{{instance}}"),
        ),
    ]
