"""The metrics of jobs: how many there are, in which state, and how they begin and end."""

from typing import Final

from prometheus_client import Info

from observability.label_values import Labels
from observability.metric_series import Series

_LIFE_BUCKETS: Final = (1, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400)


class JobMetrics:
    """The metrics of jobs, for launches and exits of all kinds."""

    def __init__(self, series: Series, labels: Labels) -> None:
        self._make_states(series, labels)
        self._make_ends(series, labels)

    def _make_states(self, series: Series, labels: Labels) -> None:
        self.job_info = Info(
            "supervisor_job", "The jobs of the catalogue.", ["job_name"], registry=series.registry
        )
        self.jobs_running = series.gauge(
            "supervisor_jobs_running", "Live containers.", job_name=series.jobs
        )
        self.jobs_unhealthy = series.gauge(
            "supervisor_jobs_unhealthy",
            "Live containers whose health check says that they are not healthy.",
            job_name=series.jobs,
        )
        self.jobs_by_node = series.gauge(
            "supervisor_jobs_by_node", "Live containers by node of a Swarm.", node=[]
        )
        self.jobs = series.gauge("supervisor_jobs", "Jobs by state.", state=labels.states)
        self.adoptions = series.counter(
            "supervisor_adoptions",
            "Containers that ran already and were taken over.",
            job_name=series.jobs,
        )
        self.restarts = series.counter(
            "supervisor_restarts",
            "Containers that ended and were started again.",
            job_name=series.jobs,
        )

    def _make_ends(self, series: Series, labels: Labels) -> None:
        self.exits = series.counter(
            "supervisor_exits",
            "Containers that ended, by how.",
            job_name=series.jobs,
            outcome=labels.exit_outcomes,
        )
        self.early_exits = series.counter(
            "supervisor_early_exits",
            "Containers that ended badly within ten seconds of their start.",
            job_name=series.jobs,
        )
        self.exits_by_others = series.counter(
            "supervisor_exits_by_others",
            "Containers that somebody else has ended.",
            job_name=series.jobs,
        )
        self.job_duration = series.histogram(
            "supervisor_job_duration_seconds",
            "The life of a container.",
            buckets=_LIFE_BUCKETS,
            outcome=labels.exit_outcomes,
        )
        self.kills_on_lost_nodes = series.counter(
            "supervisor_kills_on_lost_nodes",
            "Kills of jobs whose node of a Swarm was gone, and may still run them.",
            node=[],
        )
