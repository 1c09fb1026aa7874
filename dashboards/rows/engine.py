"""The Engine: calls to it, pulls, the nodes of a Swarm, and how far the registry is in step."""

from dashboards.panels import HALF, QUARTER, THIRD, Panel, lines
from dashboards.promql import jobs_by, per_minute, quantile, query, rate, series

COMPARED = f"time() - min({series('supervisor_reconcile_last_success_timestamp_seconds')} > 0)"

_OPERATIONS = "supervisor_engine_operation_duration_seconds"


def engine() -> list[Panel]:
    """The row about calls to the Engine."""
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


def pulls() -> list[Panel]:
    """The row about pulls of images."""
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


def nodes() -> list[Panel]:
    """The row about the nodes of a Swarm: with any other engine there are none."""
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


def in_step() -> list[Panel]:
    """The row about queues, and about the comparison of the registry with the Engine."""
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
            query(COMPARED, "age"),
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
