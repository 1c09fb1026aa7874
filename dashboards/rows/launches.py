"""What becomes of launches: how many, how fast, and why they fail."""

from dashboards.panels import HALF, THIRD, Panel, bars, heat, lines
from dashboards.promql import (
    buckets,
    growth,
    latest,
    of_the_ten_most,
    per_minute,
    quantiles,
    query,
    series,
)
from service.app.metric_labels import LABELS

LAUNCHES = "supervisor_launch_duration_seconds"


def launches() -> list[Panel]:
    """The row about launches that have been asked for."""
    return [
        lines(
            "Launch requests by outcome",
            "launched: a container was started. dedup: the job ran already. failed: the answer was"
            " an error.",
            "cpm",
            query(per_minute(f"{LAUNCHES}_count", by=["outcome"]), "{{outcome}}"),
            stacked=True,
            known=LABELS.launch_outcomes,
        ),
        lines(
            "Launches, by job",
            "Containers started, of the ten jobs that have the most.",
            "cpm",
            query(of_the_ten_most("supervisor_launches_total", by=["job_name"]), "{{job_name}}"),
        ),
        lines(
            "Dedups, by job",
            "Launches answered by a job that ran already, of the ten jobs that have the most.",
            "cpm",
            query(of_the_ten_most("supervisor_dedups_total", by=["job_name"]), "{{job_name}}"),
        ),
        lines(
            "Launch latency",
            "From the request to a running container. Each dot is a launch: a click opens its"
            " trace.",
            "s",
            *quantiles(LAUNCHES, 'outcome="launched"', exemplars=True),
            width=HALF,
        ),
        heat(
            "Launch latency, all launches",
            "How many launches took how long. Each dot is a launch: a click opens its trace.",
            "s",
            buckets(LAUNCHES, 'outcome="launched"', exemplars=True),
            width=HALF,
        ),
    ]


def failures() -> list[Panel]:
    """The row about failed and refused calls."""
    labels = "job_name, operation, reason"
    return [
        lines(
            "Failures by reason",
            "Launches and kills that failed within a rate's window (four scrapes, or the distance"
            " of two points if that is more). invalid and unknown_job are the caller's mistakes.",
            "none",
            query(growth("supervisor_failures_total", by="reason"), "{{reason}}"),
            stacked=True,
            width=THIRD,
        ),
        lines(
            "Refused calls",
            "By the access file; 0 without one. missing: no credential. unknown: a credential of no"
            " client. denied: a client that may not do this.",
            "cpm",
            query(per_minute("supervisor_auth_failures_total", by=["reason"]), "{{reason}}"),
            stacked=True,
            width=THIRD,
        ),
        bars(
            "Failures since the start, by job and reason",
            "The ten that have failed the most since the process started.",
            "none",
            latest(
                f"sort_desc(topk(10, sum by ({labels}) ({series('supervisor_failures_total')})))",
                "{{job_name}}: {{operation}}, {{reason}}",
            ),
            width=THIRD,
        ),
    ]
