"""The first look: is it up, what runs, what fails and why."""

from dashboards.dashboard import dashboard
from dashboards.panels import HALF, Panel, lines, number, timeline, yes_or_no
from dashboards.promql import (
    in_range,
    jobs_by,
    latest,
    of_the_ten_highest,
    query,
    series,
    total_of_jobs,
)
from dashboards.rows.ends import kills_and_exits
from dashboards.rows.launches import LAUNCHES, failures, launches
from service.app.metric_labels import LABELS


def overview() -> str:
    """The dashboard as JSON."""
    return dashboard(
        "supervisor-overview",
        "Supervisor: overview",
        "Is it up, what runs, what fails and why.",
        [
            ("Now", _now()),
            ("What runs", _what_runs()),
            ("Launches", launches()),
            ("Failures", failures()),
            ("Kills and exits", kills_and_exits()),
        ],
    )


def _now() -> list[Panel]:
    return [*_state(), *_work(), *_trouble(), _age()]


def _state() -> list[Panel]:
    return [
        yes_or_no(
            "Scraped",
            "Whether Prometheus reaches the supervisor. If not, the process is gone or hangs, or"
            " the network between them is at fault.",
            latest(f"min({series('up')})", "scraped"),
        ),
        yes_or_no(
            "Ready",
            "Whether requests are taken: the Engine answers, and what runs is known. Says the same"
            " as /readyz and the gRPC health service.",
            latest(f"min({series('supervisor_ready')})", "ready"),
        ),
        yes_or_no(
            "Engine",
            "Whether the Docker Engine has answered the last ping.",
            latest(f"min({series('supervisor_engine_up')})", "Engine"),
        ),
    ]


def _work() -> list[Panel]:
    return [
        number(
            "Jobs running",
            "Live containers.",
            "none",
            latest(total_of_jobs("supervisor_jobs_running", "job_name"), "jobs"),
        ),
        number(
            "Launches",
            "Containers started in the time shown.",
            "none",
            latest(in_range("supervisor_launches_total"), "launches"),
        ),
    ]


def _trouble() -> list[Panel]:
    return [
        number(
            "Failed launches",
            "Launches answered with an error in the time shown, callers' mistakes included.",
            "none",
            latest(in_range(f"{LAUNCHES}_count", 'outcome="failed"'), "failed"),
            alarming=True,
        ),
        number(
            "Ended badly",
            "Jobs that failed, ran out of memory or time, were lost, or ended though they should go"
            " on, in the time shown.",
            "none",
            latest(
                in_range("supervisor_exits_total", 'outcome=~"ended|error|oom|lost|timed_out"'),
                "jobs",
            ),
            alarming=True,
        ),
    ]


def _age() -> Panel:
    return number(
        "Up for",
        "Since the start of the process; of the youngest, where there are several.",
        "s",
        latest(f"time() - max({series('process_start_time_seconds')})", "up for"),
    )


def _what_runs() -> list[Panel]:
    return [
        timeline(
            "Up and ready over time",
            "When Prometheus reached the supervisor, when requests were taken, when the Engine"
            " answered, and when no operator had new launches refused.",
            query(f"min({series('up')})", "scraped"),
            query(f"min({series('supervisor_ready')})", "ready"),
            query(f"min({series('supervisor_engine_up')})", "Engine"),
            query(f"1 - max({series('supervisor_cordoned')})", "not cordoned"),
        ),
        lines(
            "Jobs by state",
            "What ListJobs would say, and what has exited and still has its container. A job that"
            " stays in starting, stopping or exited hangs; what is paused does nothing.",
            "none",
            query(jobs_by("supervisor_jobs", label="state"), "{{state}}"),
            stacked=True,
            known=LABELS.states,
        ),
        lines(
            "Running, by job",
            "Live containers of the ten jobs that have the most.",
            "none",
            query(of_the_ten_highest("supervisor_jobs_running", label="job_name"), "{{job_name}}"),
        ),
        lines(
            "Unhealthy, by job",
            "Live containers whose health check fails, of the ten jobs with the most. 0 without"
            " health checks.",
            "none",
            query(
                of_the_ten_highest("supervisor_jobs_unhealthy", label="job_name"), "{{job_name}}"
            ),
            width=2 * HALF,
        ),
    ]
