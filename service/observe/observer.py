"""The parts that answer the API to observe: one for each kind of question."""

from dataclasses import dataclass

from service.observe.cordoning import Cordoning
from service.observe.diagnosis import Diagnosis
from service.observe.jobs import Jobs
from service.observe.logs import JobLogs
from service.observe.names import JobNames
from service.observe.stats import JobStats
from service.observe.watching import Watching


@dataclass(kw_only=True, eq=False)
class Observer:
    """Carries out what operators and programs ask for."""

    jobs: Jobs
    names: JobNames
    watching: Watching
    logs: JobLogs
    stats: JobStats
    cordoning: Cordoning
    diagnosis: Diagnosis

    def close(self) -> None:
        """End all open streams."""
        self.watching.close()
        self.logs.close()
