"""The values that labels of the metrics may have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

UNKNOWN: Final = "unknown"

LaunchQueue = Literal["room", "slot"]
"""What launches wait for in turn: the end of other jobs, or of other launches."""

CrashReportOutcome = Literal["sent", "failed", "dropped"]
"""What has become of a report: answered; refused or not answered; never sent."""

TLS_PORTS: Final = ("grpc", "http")
HANDSHAKE_PORTS: Final = (*TLS_PORTS, "console")  # it has the certificate of "http"
HANDSHAKE_REASONS: Final = (
    "no_certificate",
    "bad_certificate",
    "refused",
    "old_tls",
    "no_tls",
    "other",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The label values that are defined by types of the service."""

    states: Sequence[str]
    operations: Sequence[str]
    reasons: Sequence[str]
    launch_outcomes: Sequence[str]
    kill_outcomes: Sequence[str]
    exit_outcomes: Sequence[str]
    engine_calls: Sequence[str]
    engine_reasons: Sequence[str]
    pull_outcomes: Sequence[str]
    auth_reasons: Sequence[str]
    retention_limits: Sequence[str]
    history_faults: Sequence[str]
