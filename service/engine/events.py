"""What an engine reports while it is watched: a listing, and then events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.engine.workloads import Workload


@dataclass(frozen=True, slots=True)
class Listing:
    """All our workloads. `Engine.watch` yields it first."""

    workloads: Sequence[Workload]


class Change(StrEnum):
    """The kind of an event."""

    CREATED = "created"
    STARTED = "started"
    SIGNALLED = "signalled"  # through the engine, which also signals for a stop or forced removal
    STOPPING = "stopping"  # by a supervisor, if several may use the engine
    EXITED = "exited"
    OUT_OF_MEMORY = "out of memory"  # comes before the exit, or shortly after it
    REMOVED = "removed"
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    HEALTHY = "healthy"  # by its health check
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A hint that a workload has changed. `exit_code` is set if the engine reports it.

    `signal` is the number of the signal that was sent to the workload, or 0 if the engine does not
    report it. `witnessed` is False if the event follows from the difference between two listings:
    the engine may have been away in between, and may have ended the workload itself.
    `ran` is about a removal: the workload still ran then, so that no supervisor has removed it.
    """

    id: str
    change: Change
    labels: Mapping[str, str]
    exit_code: int | None = None
    signal: int | None = None
    witnessed: bool = True
    ran: bool = False
