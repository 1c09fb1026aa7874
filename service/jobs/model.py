"""Jobs and their states: one record of each, from its launch until after its end. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import TypeAlias

from observability.callers import NO_CALLER, Caller
from observability.redaction.redactor import Redactor
from service.jobs.observations import Closed, EndReason
from service.jobs.restart_policy import NO_RESTARTS, RestartPolicy, Restarts

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


class Kind(StrEnum):
    """Whether an identifier has at most one live job (action) or one for each launch (reaction)."""

    ACTION = "action"
    REACTION = "reaction"


class State(StrEnum):
    """The state of a job. ListJobs reports all but the last two."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"  # by a third party
    STOPPING = "stopping"  # a kill was requested, or a supervisor ends its run
    BACKING_OFF = "backing_off"  # it has exited, and is started again after a while
    EXITED = "exited"  # without a kill; its name is not free yet
    GONE = "gone"


class Outcome(StrEnum):
    """How a job ended. Values are labels of metrics."""

    SUCCESS = "success"
    UNEXPECTED_END = "ended"  # exit 0 of an action that should have gone on
    ERROR = "error"
    OOM = "oom"
    KILLED = "killed"  # on request
    LOST = "lost"  # found dead, or not found, for an unknown reason
    TIMED_OUT = "timed_out"  # it had run for as long as its time limit


FAILED_OUTCOMES = frozenset(Outcome) - {Outcome.SUCCESS, Outcome.KILLED}
_BADLY = frozenset({Outcome.UNEXPECTED_END, Outcome.ERROR, Outcome.OOM})

_VISIBLE = attrgetter(
    "state",
    "workload_id",
    "workload_name",
    "node",
    "image_digest",
    "started_at",
    "pulling",
    "unhealthy",
    "restarts",
    "restart_at",
    "killer",
    "ended_at",
    "outcome",
    "exit_code",
    "oom_killed",
    "last_lines",
)
# Of a traceparent, the digits of the trace.
_TRACE_ID = 32
# An exit this soon after the start counts as early (seconds).
EARLY = 10.0


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A request for a launch. `auth` is secret and stays out of the repr.

    Two requests with the same `fingerprint` are equal; 0 means unknown. `idempotency_key` is empty
    if the request has none.
    """

    name: str
    identifier: str
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    auth: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    fingerprint: int = field(default=0, compare=False)
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job: one launch of a job name. Times are seconds since the epoch."""

    launch_id: str
    name: str
    identifier: str
    kind: Kind
    ends: bool = False
    fingerprint: int = 0  # of its request; 0 if the job was adopted
    # Of the request's fields, see `differences`; empty if the job was adopted.
    digests: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    idempotency_key: str = ""  # of its request
    # Finds the credentials in its output; None if the engine can be asked for them.
    redact: Redactor | None = field(default=None, compare=False, repr=False)
    traceparent: str | None = None  # the span of its launch
    launched_by: Caller = NO_CALLER  # only the name of the client if the job was adopted
    created_at: float = 0.0  # when its launch began
    number: int = field(
        default=0, compare=False
    )  # of the jobs that this process has known; set after its labels
    image: str = ""  # as the catalogue names it
    image_digest: str = ""  # empty until an inspection has found it
    ready_within: float | None = None  # how long it has to become healthy; None: it has to run
    stop_grace: float | None = None  # its own, in place of the supervisor's
    time_limit: float | None = None  # for each of its runs (seconds)
    restart: RestartPolicy | None = None
    restarts: Restarts = NO_RESTARTS  # so far; while it backs off, with the one that follows
    adopted: bool = False  # it was running before this process knew of it
    state: State = State.STARTING
    pulling: bool = False  # its launch waits for the pull of its image
    workload_id: str | None = None
    workload_name: str = ""  # with the count that development adds
    node: str = ""  # the machine of its workload, if the engine has several
    started_at: float | None = None
    ended_at: float | None = None
    kill_intended: bool = False
    killer: Caller = NO_CALLER  # the client that requested the kill
    being_killed: bool = False  # a kill waits for its exit, whether or not the kill is the reason
    ended_for: EndReason = ""  # why its run is being stopped, or was
    backing_off: bool = False  # its workload has exited, and is kept until there is another
    restart_at: float = 0.0  # when that is to be (seconds since the epoch)
    last_end: Closed | None = None  # of the run before, once it backs off
    predecessor: str = ""  # the exited workload whose successor is being started
    run: int = 0  # how many successors this process has begun
    found: str = ""  # the launch id of the job that its launch has found running, once it is gone
    gave_up: bool = False  # no successor could be started
    exit_seen: bool = False
    exits: int = 0  # a third party may start the workload again
    exit_signal: int | None = None  # a third party's, received before the exit
    paused: bool = False
    ready: bool = False  # it has been healthy, or was running before this process knew of it
    unhealthy: bool = False  # by its health check
    outcome: Outcome | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    last_lines: str = field(default="", repr=False)  # of its output, free of secrets, if it failed
    signal: int | None = None  # the third party's signal that ended it; 0 if not known

    @property
    def visible(self) -> tuple[object, ...]:
        """The fields that clients see and that may change."""
        return _VISIBLE(self)

    @property
    def client(self) -> str:
        """The name of the client that has launched it, if there is an access file."""
        return self.launched_by.client

    @property
    def trace_id(self) -> str:
        """The trace of its launch."""
        return (self.traceparent or "").partition("-")[2][:_TRACE_ID]

    @property
    def grouped(self) -> bool:
        """Whether its identifier may have at most one live workload."""
        return self.kind is Kind.ACTION

    @property
    def closing(self) -> bool:
        """Whether it is stopping or has exited. A launch of its identifier starts a new job."""
        return self.state in (State.STOPPING, State.EXITED)

    @property
    def runs(self) -> bool:
        """Whether it has a workload that has not exited, as far as is known."""
        has_ended = self.exit_seen or self.state is State.GONE
        return self.workload_id is not None and not has_ended

    @property
    def awaits_health(self) -> bool:
        """Whether it runs, and its launch waits until it is healthy."""
        return self.runs and self.ready_within is not None and not self.ready

    @property
    def is_sick(self) -> bool:
        """Whether it runs, and its health check says that it is not healthy."""
        return self.unhealthy and self.runs

    @property
    def killed_here(self) -> bool:
        """Whether a kill by this supervisor is the reason of its exit, and waits for that."""
        return self.kill_intended and self.being_killed

    @property
    def ended_here(self) -> bool:
        """Whether a supervisor ends it: signals from now on are no third party's."""
        return self.kill_intended or self.being_killed or self.ended_for != ""

    @property
    def steady(self) -> bool:
        """Whether it runs or is paused, with no launch, kill or exit under way."""
        return self.state in (State.RUNNING, State.PAUSED)

    def grace(self, default: float) -> float:
        """How long it has to stop (seconds), by default that of the supervisor."""
        return default if self.stop_grace is None else self.stop_grace

    @property
    def ended_early(self) -> bool:
        """Whether it failed soon after its start, and no third party ended it."""
        if self.started_at is None or self.ended_at is None:
            return False
        badly = self.outcome in _BADLY and self.signal is None
        return badly and self.ended_at - self.started_at < EARLY
