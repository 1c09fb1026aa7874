"""The metrics, with the labels that the states, outcomes and errors of the service define."""

from collections.abc import Iterable
from typing import get_args

from observability.metrics import Labels, Metrics
from service.engine.base import EngineCall
from service.errors import EngineError, SupervisorError, kinds_of
from service.jobs.model import Outcome, State
from service.lifecycle.killer import KillOutcome
from service.reporting.request_reports import Operation
from service.state.launches import LaunchOutcome


def _reasons(kind: type[SupervisorError]) -> list[str]:
    return list(dict.fromkeys(each.reason for each in kinds_of(kind)))


LABELS = Labels(
    states=[state.value for state in State if state is not State.GONE],
    operations=get_args(Operation),
    reasons=_reasons(SupervisorError),
    launch_outcomes=(*get_args(LaunchOutcome), "failed"),
    kill_outcomes=get_args(KillOutcome),
    exit_outcomes=[outcome.value for outcome in Outcome],
    engine_calls=get_args(EngineCall),
    # An engine has no errors of ours, which are internal.
    engine_reasons=[r for r in _reasons(EngineError) if r != SupervisorError.reason],
)


def new_metrics(jobs: Iterable[str], *, version: str, engine: str, mode: str) -> Metrics:
    """The metrics of a service with the jobs of a catalogue."""
    return Metrics(jobs, LABELS, version=version, engine=engine, mode=mode)
