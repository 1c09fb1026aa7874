"""The metrics of the Engine: calls to it, its events, and pulls of images."""

from typing import Final

from observability.label_values import Labels
from observability.metric_series import WAIT_BUCKETS, Series

_PULL_BUCKETS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800)


class EngineMetrics:
    """What is counted of the Engine."""

    def __init__(self, series: Series, labels: Labels) -> None:
        self._make_calls(series, labels)
        self._make_pulls(series, labels)

    def _make_calls(self, series: Series, labels: Labels) -> None:
        self.engine_up = series.gauge("supervisor_engine_up", "1 while the Engine answers.")
        self.engine_duration = series.histogram(
            "supervisor_engine_operation_duration_seconds",
            "Each call to the Engine.",
            operation=labels.engine_calls,
        )
        self.engine_errors = series.counter(
            "supervisor_engine_errors",
            "Calls to the Engine that failed.",
            operation=labels.engine_calls,
            reason=labels.engine_reasons,
        )
        self.engine_workers = series.gauge(
            "supervisor_engine_workers",
            "Threads that talk to the Engine.",
            state=["busy", "limit", "queued"],
        )
        self.stream_reconnects = series.counter(
            "supervisor_event_stream_reconnects",
            "Connections to the Engine's events after the first.",
        )

    def _make_pulls(self, series: Series, labels: Labels) -> None:
        self.pulls_in_progress = series.gauge(
            "supervisor_pulls_in_progress",
            "Pulls of images under way, pulls that wait, and how many there may be at once.",
            state=["under_way", "waiting", "limit"],
        )
        self.pull_wait_duration = series.histogram(
            "supervisor_pull_wait_duration_seconds",
            "How long pulls of images have waited for others, of those that had to.",
            buckets=WAIT_BUCKETS,
        )
        self.pull_duration = series.histogram(
            "supervisor_pull_duration_seconds",
            "Each pull of an image, without its wait for others.",
            buckets=_PULL_BUCKETS,
            outcome=labels.pull_outcomes,
        )
