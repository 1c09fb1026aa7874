"""The roles, and what each of them may call."""

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What a client is there for."""

    BACKEND = "backend"
    OPERATOR = "operator"
    OBSERVER = "observer"


METRICS_PAGE = "/metrics"

_JOBS = "area_supervisor.AreaSupervisorService"
_OBSERVER = "supervisor.v1.JobObserver"
_HEALTH = "grpc.health.v1.Health"
_REFLECTION = "ServerReflection/ServerReflectionInfo"

# Orchestrators have no credential.
OPEN = frozenset({f"{_HEALTH}/Check", f"{_HEALTH}/List", f"{_HEALTH}/Watch"})
# Methods that change something, so that the audit has an event for each call.
_CHANGES_JOBS = frozenset({f"{_JOBS}/LaunchJob", f"{_JOBS}/KillJob", f"{_JOBS}/KillAllJobs"})
CHANGES = _CHANGES_JOBS | {f"{_OBSERVER}/Cordon", f"{_OBSERVER}/Uncordon"}

# An operator may call everything, and methods that are missing here only an operator.
_MAY_CALL: Mapping[Role, frozenset[str]] = {
    Role.BACKEND: _CHANGES_JOBS | {f"{_JOBS}/ListJobs"},
    Role.OBSERVER: frozenset(
        {
            f"{_JOBS}/ListJobs",
            f"{_OBSERVER}/GetJob",
            f"{_OBSERVER}/ListJobs",
            f"{_OBSERVER}/ListNames",
            f"{_OBSERVER}/WatchJobs",
            f"{_OBSERVER}/Stats",
            f"{_OBSERVER}/Diagnose",
            f"grpc.reflection.v1.{_REFLECTION}",
            f"grpc.reflection.v1alpha.{_REFLECTION}",
            METRICS_PAGE,
        }
    ),
}
WHAT_IT_ALLOWS: Mapping[Role, str] = {
    Role.BACKEND: "LaunchJob, KillJob, KillAllJobs and ListJobs",
    Role.OPERATOR: "everything",
    Role.OBSERVER: "ListJobs, JobObserver except logs and cordons, reflection and /metrics",
}


def may_call(role: Role, method: str) -> bool:
    """Whether a role allows a method (SERVICE/METHOD) or a page of the HTTP port."""
    return method in _MAY_CALL.get(role, ()) or role is Role.OPERATOR
