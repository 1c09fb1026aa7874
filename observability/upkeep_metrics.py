"""The metrics of what the supervisor does unasked: comparison, clean-up, reports, the history."""

from typing import get_args

from observability.label_values import CrashReportOutcome, Labels
from observability.metric_series import Series


class UpkeepMetrics:
    """What is counted of the supervisor's own work."""

    def __init__(self, series: Series, labels: Labels) -> None:
        self._make_watcher(series, labels)
        self._make_catalog(series)
        self._make_crash_reports(series)
        self._make_history(series, labels)

    def _make_watcher(self, series: Series, labels: Labels) -> None:
        self.ready = series.gauge("supervisor_ready", "1 while requests are taken.")
        self.cordoned = series.gauge(
            "supervisor_cordoned", "1 while an operator has new launches refused."
        )
        self.reconciled_at = series.gauge(
            "supervisor_reconcile_last_success_timestamp_seconds",
            "When the registry was last compared with the Engine.",
        )
        self.orphans = series.gauge(
            "supervisor_orphans", "Containers of ours that are nobody's job, when last compared."
        )
        self.orphans_removed = series.counter(
            "supervisor_orphans_removed",
            "Containers of earlier runs and failed starts that were removed.",
        )
        self.retention_removed = series.counter(
            "supervisor_retention_removed",
            "Exited containers that development kept, and that were too many or too old.",
            limit=labels.retention_limits,
        )
        self.log_lines_dropped = series.counter(
            "supervisor_log_lines_dropped", "Lines of the log that could not be written."
        )

    def _make_catalog(self, series: Series) -> None:
        self.catalog_reload_success = series.gauge(
            "supervisor_catalog_reload_success",
            "1 if the catalogue was in order when its file was last read.",
        )
        self.catalog_reload_success_at = series.gauge(
            "supervisor_catalog_reload_success_timestamp_seconds",
            "When the catalogue in use was read.",
        )

    def _make_crash_reports(self, series: Series) -> None:
        self.crash_reports = series.counter(
            "supervisor_crash_reports",
            "Reports of failed jobs to the backend, by what has become of them.",
            outcome=get_args(CrashReportOutcome),
        )
        self.crash_reports_waiting = series.gauge(
            "supervisor_crash_reports_waiting", "Reports of failed jobs that are not sent yet."
        )

    def _make_history(self, series: Series, labels: Labels) -> None:
        self.history_jobs = series.gauge(
            "supervisor_history_jobs",
            "Jobs that have ended and are kept: in the file, or in memory only.",
            place=["file", "memory"],
        )
        self.history_bytes = series.gauge(
            "supervisor_history_bytes", "The size of the history's file; 0 without one."
        )
        self.history_fault = series.gauge(
            "supervisor_history_fault",
            "1 while the history's file cannot be used, by why.",
            reason=labels.history_faults,
        )
        self.history_dropped = series.counter(
            "supervisor_history_dropped",
            "Jobs that have ended and could not be kept, because the file cannot be used.",
        )
