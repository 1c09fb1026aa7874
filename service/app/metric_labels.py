"""The values of the metrics' labels, from the states, outcomes and errors of the service."""

from collections.abc import Iterable
from typing import get_args

from observability.label_values import Labels
from observability.metrics import Metrics
from service.access.clients import Reason
from service.engine.base import EngineCall
from service.errors import EngineError, SupervisorError, kinds_of
from service.history.faults import Fault
from service.jobs.model import Outcome, State
from service.lifecycle.image_pulls import PullOutcome
from service.lifecycle.killer import KillOutcome
from service.reconcile.retention import RetentionLimit
from service.reporting.request_reports import Operation
from service.state.pending_launches import LaunchOutcome


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
    # An internal error is the supervisor's own, so no engine causes one.
    engine_reasons=[r for r in _reasons(EngineError) if r != SupervisorError.reason],
    pull_outcomes=get_args(PullOutcome),
    auth_reasons=[reason.value for reason in Reason],
    retention_limits=get_args(RetentionLimit),
    history_faults=[fault.value for fault in Fault],
)


def new_metrics(jobs: Iterable[str], *, version: str, engine: str, mode: str) -> Metrics:
    """The metrics of a service with these job names."""
    return Metrics(jobs, LABELS, version=version, engine=engine, mode=mode)
