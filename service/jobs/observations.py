"""Facts about a job's workload, and what a client has asked for: only `transitions` reads them."""

from dataclasses import dataclass, field
from typing import Literal

from observability.callers import NO_CALLER, Caller
from service.jobs.restart_policy import Restarts

EndReason = Literal["", "time_limit", "unhealthy"]
"""Why a supervisor ends a run without a request to kill it; "" if it does not."""


@dataclass(frozen=True, slots=True)
class Started:
    """The workload runs."""

    workload_id: str
    at: float
    paused: bool = False  # if it was adopted while paused
    node: str = ""
    ready: bool = False  # whatever its health: it runs for longer than this process knows of it
    name: str = ""  # of the workload; empty if it has that of its predecessor


@dataclass(frozen=True, slots=True)
class KillIntended:
    """A kill was requested: the exit that follows is no crash."""

    by: Caller = NO_CALLER
    here: bool = True  # False if another supervisor kills it


@dataclass(frozen=True, slots=True)
class EndBegun:
    """A supervisor ends its run: the exit that follows is no crash."""

    reason: EndReason


@dataclass(frozen=True, slots=True)
class KillFailed:
    """The workload could not be stopped, and still runs."""


@dataclass(frozen=True, slots=True)
class ExitSeen:
    """The workload has exited. The reason is not known yet, and its name is not free yet."""

    signal: int | None = None  # a third party's, received before


@dataclass(frozen=True, slots=True)
class FoundLive:
    """The workload runs or is paused. Somebody else may have started it again, `at` some time."""

    at: float | None = None


@dataclass(frozen=True, slots=True)
class PauseSeen:
    """A third party has paused or unpaused the workload."""

    paused: bool


@dataclass(frozen=True, slots=True)
class HealthSeen:
    """The health check of the live workload has said something."""

    healthy: bool = False
    unhealthy: bool = False  # neither, if no probe has decided it yet


@dataclass(frozen=True, slots=True)
class PullSeen:
    """The launch waits for the pull of its image, or does so no more."""

    under_way: bool


@dataclass(frozen=True, slots=True)
class ImageSeen:
    """An inspection has found which image the workload runs."""

    workload_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The workload is out of the way. `exit_code` is None if it cannot be found out any more."""

    at: float
    exit_code: int | None = None
    oom_killed: bool = False
    started_at: float | None = None  # the engine's own time, which is more precise than ours
    witnessed: bool = True  # False if the engine was away, or was stopping
    signal: int | None = None  # sent by a third party shortly before; 0 if not known
    ended_for: EndReason = ""  # of a run before the job's last one, see `Job.ended_for`
    last_lines: str = field(default="", repr=False)  # of its output, free of secrets, if it failed


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The workload has exited, and is to be started again `at` some time."""

    end: Closed
    restarts: Restarts
    at: float


@dataclass(frozen=True, slots=True)
class RestartBegun:
    """A successor of the exited workload is about to be asked for."""


@dataclass(frozen=True, slots=True)
class RestartFailed:
    """There is no successor. It is tried again `at` some time; None to give up."""

    at: float | None


@dataclass(frozen=True, slots=True)
class StartFailed:
    """There is no workload, and there will be none.

    `found` is the launch id of the job that the launch has found in place of it, if any.
    """

    found: str = ""


@dataclass(frozen=True, slots=True)
class ClosedElsewhere:
    """The workload is out of the way, and another supervisor reports how it has exited."""


Observation = (
    Started
    | KillIntended
    | EndBegun
    | KillFailed
    | ExitSeen
    | FoundLive
    | PauseSeen
    | HealthSeen
    | PullSeen
    | ImageSeen
    | RunEnded
    | RestartBegun
    | RestartFailed
    | Closed
    | ClosedElsewhere
    | StartFailed
)
