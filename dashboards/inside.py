"""The second look, when the first one shows that something is wrong: what the process does."""

from dashboards.dashboard import dashboard
from dashboards.panels import SIXTH, Panel, name, number
from dashboards.promql import in_range, latest, series, total_of_jobs
from dashboards.rows.engine import COMPARED, engine, in_step, nodes, pulls
from dashboards.rows.grpc import grpc
from dashboards.rows.process import process


def inside() -> str:
    """The dashboard as JSON."""
    return dashboard(
        "supervisor-inside",
        "Supervisor: inside",
        "The Engine's calls, the threads that make them, the event stream, gRPC, the process.",
        [
            ("Now", _now()),
            ("The Docker Engine", engine()),
            ("The pulls of images", pulls()),
            ("The nodes of a Swarm", nodes()),
            ("Queues, and in step with the Engine", in_step()),
            ("gRPC", grpc()),
            ("The process", process()),
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
            latest(COMPARED, "ago"),
            width=SIXTH,
        ),
    ]
