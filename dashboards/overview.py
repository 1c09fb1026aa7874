"""The first look: is it up, what runs, what fails and why."""

from dashboards.dashboard import dashboard
from dashboards.panels import HALF, THIRD, Panel, bars, heat, lines, number, timeline, yes_or_no
from dashboards.promql import (
    actions_of_the_ten_most,
    buckets,
    growth,
    in_range,
    jobs_by,
    latest,
    of_the_ten_highest,
    of_the_ten_most,
    per_minute,
    quantiles,
    query,
    series,
    total_of_jobs,
)
from service.app.metric_labels import LABELS

_LAUNCHES = "supervisor_launch_duration_seconds"
_KILLS = "supervisor_kill_duration_seconds"


def overview() -> str:
    """The dashboard as JSON."""
    return dashboard(
        "supervisor-overview",
        "Supervisor: overview",
        "Is it up, what runs, what fails and why.",
        [
            ("Now", _now()),
            ("What runs", _what_runs()),
            ("Launches", _launches()),
            ("Failures", _failures()),
            ("Kills and exits", _kills_and_exits()),
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
            latest(in_range(f"{_LAUNCHES}_count", 'outcome="failed"'), "failed"),
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


def _launches() -> list[Panel]:
    return [
        lines(
            "Launch requests by outcome",
            "launched: a container was started. dedup: the job ran already. failed: the answer was"
            " an error.",
            "cpm",
            query(per_minute(f"{_LAUNCHES}_count", by=["outcome"]), "{{outcome}}"),
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
            *quantiles(_LAUNCHES, 'outcome="launched"', exemplars=True),
            width=HALF,
        ),
        heat(
            "Launch latency, all launches",
            "How many launches took how long. Each dot is a launch: a click opens its trace.",
            "s",
            buckets(_LAUNCHES, 'outcome="launched"', exemplars=True),
            width=HALF,
        ),
    ]


def _failures() -> list[Panel]:
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


def _kills_and_exits() -> list[Panel]:
    return [
        *_kills(),
        *_exits(),
        *_bad_ends(),
        *_early_and_foreign_ends(),
        _restarts(),
        _crash_reports(),
    ]


def _kills() -> list[Panel]:
    return [
        lines(
            "Kills by outcome",
            "stopped: within the grace. forced: by SIGKILL after it. not_running: nothing to stop."
            " failed: it may still run.",
            "cpm",
            query(per_minute("supervisor_kills_total", by=["outcome"]), "{{outcome}}"),
            stacked=True,
            known=LABELS.kill_outcomes,
            width=HALF,
        ),
        lines(
            "Kill latency",
            "From the intent to a container that is gone. A worker that ignores SIGTERM takes the"
            " whole grace.",
            "s",
            *quantiles(_KILLS, 'outcome=~"stopped|forced"'),
            width=HALF,
        ),
    ]


def _exits() -> list[Panel]:
    return [
        lines(
            "Exits by outcome",
            "ended: an action that should have gone on. lost: found dead, or not at all, after a"
            " gap. timed_out: it had run for its time limit. killed: as asked.",
            "cpm",
            query(per_minute("supervisor_exits_total", by=["outcome"]), "{{outcome}}"),
            stacked=True,
            known=LABELS.exit_outcomes,
            width=HALF,
        ),
        heat(
            "Lifetimes",
            "How many containers have ended after how long.",
            "s",
            buckets("supervisor_job_duration_seconds"),
            width=HALF,
        ),
    ]


def _bad_ends() -> list[Panel]:
    exits, badly = "supervisor_exits_total", 'outcome=~"ended|error|oom|lost|timed_out"'
    by = ["job_name", "outcome"]
    return [
        lines(
            "Actions that ended, by job",
            "Actions that nobody stopped and that ended all the same, with whatever exit code:"
            " their automations stand still until the backend launches them again.",
            "cpm",
            query(actions_of_the_ten_most(exits, badly, by=by), "{{job_name}}: {{outcome}}"),
            width=HALF,
        ),
        lines(
            "Ended badly, by job",
            "Of the ten jobs that failed, ran out of memory or time, were lost, or ended though"
            " they should go on the most. Reactions among them: a user's token that has expired.",
            "cpm",
            query(of_the_ten_most(exits, badly, by=by), "{{job_name}}: {{outcome}}"),
            width=HALF,
        ),
    ]


def _restarts() -> Panel:
    return lines(
        "Restarts, by job",
        "Containers that were started again after their end, of the ten jobs that have the most."
        " Only jobs with `restart` in the catalogue.",
        "cpm",
        query(of_the_ten_most("supervisor_restarts_total", by=["job_name"]), "{{job_name}}"),
        width=HALF,
    )


def _crash_reports() -> Panel:
    reports = f"increase({series('supervisor_crash_reports_total')}[$__rate_interval])"
    return lines(
        "Crashes told to the backend",
        "Reports of failed jobs within a rate's window. sent: it has answered. failed: it has"
        " refused one, or not answered. dropped: never sent. waiting: not sent yet, mostly since"
        " the backend is away. 0 without REPORT_CRASHES.",
        "none",
        query(f"sum by (outcome) ({reports})", "{{outcome}}"),
        query(f"sum({series('supervisor_crash_reports_waiting')})", "waiting"),
        width=HALF,
    )


def _early_and_foreign_ends() -> list[Panel]:
    early, by_others = "supervisor_early_exits_total", "supervisor_exits_by_others_total"
    return [
        lines(
            "Ended early, by job",
            "Containers that ended badly within ten seconds of their start, of the ten jobs that"
            " have the most. Many of one job: a release that does not run.",
            "cpm",
            query(of_the_ten_most(early, by=["job_name"]), "{{job_name}}"),
            width=HALF,
        ),
        lines(
            "Ended by others, by job",
            "Containers that somebody has stopped, killed or removed past the supervisor, of the"
            " ten jobs that have the most.",
            "cpm",
            query(of_the_ten_most(by_others, by=["job_name"]), "{{job_name}}"),
            width=HALF,
        ),
    ]
