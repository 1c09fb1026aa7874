"""The metrics of requests: launches and kills, how they went, and how long they have waited."""

from typing import get_args

from observability.label_values import UNKNOWN, Labels, LaunchQueue
from observability.metric_series import WAIT_BUCKETS, Series


class RequestMetrics:
    """What is counted of launches and kills."""

    def __init__(self, series: Series, labels: Labels) -> None:
        self._make_counts(series, labels)
        self._make_queues(series)
        self._make_durations(series, labels)

    def _make_counts(self, series: Series, labels: Labels) -> None:
        self.launches = series.counter(
            "supervisor_launches", "Containers started.", job_name=series.jobs
        )
        self.dedups = series.counter(
            "supervisor_dedups",
            "Launches answered by a job that already runs.",
            job_name=series.jobs,
        )
        self.failures = series.counter(
            "supervisor_failures",
            "Launches and kills that failed.",
            job_name=[UNKNOWN],
            operation=labels.operations,
            reason=labels.reasons,
        )
        self.kills = series.counter(
            "supervisor_kills",
            "Kills by how they went.",
            job_name=series.jobs,
            outcome=labels.kill_outcomes,
        )

    def _make_queues(self, series: Series) -> None:
        self.launches_in_progress = series.gauge(
            "supervisor_launches_in_progress",
            "Launches under way, launches that wait, and how many of both there may be.",
            state=["under_way", "waiting", "limit"],
        )
        self.launches_waiting = series.gauge(
            "supervisor_launches_waiting",
            "Launches that wait in a queue: for other jobs to end, or for other launches.",
            queue=get_args(LaunchQueue),
        )
        self.launch_wait_duration = series.histogram(
            "supervisor_launch_wait_duration_seconds",
            "How long launches have waited in a queue, of those that had to.",
            buckets=WAIT_BUCKETS,
            queue=get_args(LaunchQueue),
        )

    def _make_durations(self, series: Series, labels: Labels) -> None:
        self.launch_duration = series.histogram(
            "supervisor_launch_duration_seconds",
            "From the request to a running container.",
            outcome=labels.launch_outcomes,
        )
        self.kill_duration = series.histogram(
            "supervisor_kill_duration_seconds",
            "From the intent to a container that is gone.",
            outcome=labels.kill_outcomes,
        )
