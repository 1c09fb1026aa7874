"""How jobs end: killed, by themselves, badly, early, or ended by others."""

from dashboards.panels import HALF, Panel, heat, lines
from dashboards.promql import (
    actions_of_the_ten_most,
    buckets,
    of_the_ten_most,
    per_minute,
    quantiles,
    query,
    series,
)
from service.app.metric_labels import LABELS

_KILLS = "supervisor_kill_duration_seconds"


def kills_and_exits() -> list[Panel]:
    """The row about ends, asked for or not."""
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
