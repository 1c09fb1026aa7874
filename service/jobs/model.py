"""Jobs and their states. Pure: no I/O, no clock, no locks.

    starting ──▶ running ──▶ stopping ──▶ gone
       ▲         └──▶ exited ─────▶ gone
       └─── backing off ◀─┘

A job is `starting` until it runs, or until it is healthy if its launch waits for that. It is
`stopping` as soon as a kill is intended or a supervisor ends its run, and `exited` once its
workload has exited without a kill. It is `gone` when the workload is out of the way and its name is
free, and `backing off` if it is to be started again instead. Observations are facts about a job's
workload; only `advance` turns them into states.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, TypeAlias

from observability.callers import NO_CALLER, Caller
from observability.redaction.redactor import Redactor
from service.jobs.restart_policy import NO_RESTARTS, RestartPolicy, Restarts

EndReason = Literal["", "time_limit", "unhealthy"]
"""Why a supervisor ends a run that nobody has requested to kill; "" if none does."""

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
# The process has exited by itself, or because of a signal.
_BY_ITSELF = frozenset({Outcome.SUCCESS, Outcome.UNEXPECTED_END, Outcome.ERROR})
_BADLY = frozenset({Outcome.UNEXPECTED_END, Outcome.ERROR, Outcome.OOM})

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
    client: str = ""  # the name of the client that has launched it, if there is an access file
    ready_within: float | None = None  # how long it has to become healthy; None: it has to run
    stop_grace: float | None = None  # its own, in place of the supervisor's
    time_limit: float | None = None  # for each of its runs (seconds)
    restart: RestartPolicy | None = None
    restarts: Restarts = NO_RESTARTS  # so far; while it backs off, with the one that follows
    adopted: bool = False  # it was running before this process knew of it
    state: State = State.STARTING
    workload_id: str | None = None
    node: str = ""  # the machine of its workload, if the engine has several
    started_at: float | None = None
    ended_at: float | None = None
    kill_intended: bool = False
    killer: Caller = NO_CALLER  # the client that requested the kill
    being_killed: bool = False  # a kill waits for its exit, whether or not the kill is the reason
    ended_for: EndReason = ""  # why its run is being stopped, or was
    backing_off: bool = False  # its workload has exited, and is kept until there is another
    restart_at: float = 0.0  # when that is to be (seconds since the epoch)
    last_end: "Closed | None" = None  # of the run before, once it backs off
    predecessor: str = ""  # the exited workload whose successor is being started
    run: int = 0  # how many successors this process has begun
    gave_up: bool = False  # no successor could be started
    exit_seen: bool = False
    exits: int = 0  # a third party may start the workload again
    exit_signal: int | None = None  # a third party's, received before the exit
    paused: bool = False
    ready: bool = False  # it has been healthy, or was running before this process knew of it
    unhealthy: bool = False  # by its health check
    outcome: Outcome | None = None
    exit_code: int | None = None
    signal: int | None = None  # the third party's signal that ended it; 0 if not known

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


@dataclass(frozen=True, slots=True)
class Started:
    """The workload runs."""

    workload_id: str
    at: float
    paused: bool = False  # if it was adopted while paused
    node: str = ""
    ready: bool = False  # whatever its health: it runs for longer than this process knows of it


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
class Closed:
    """The workload is out of the way. `exit_code` is None if it cannot be found out any more."""

    at: float
    exit_code: int | None = None
    oom_killed: bool = False
    started_at: float | None = None  # the engine's own time, which is more precise than ours
    witnessed: bool = True  # False if the engine was away, or was stopping
    signal: int | None = None  # sent by a third party shortly before; 0 if not known
    ended_for: EndReason = ""  # of a run before the job's last one, see `Job.ended_for`


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
    """There is no workload, and there will be none."""


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
    | RunEnded
    | RestartBegun
    | RestartFailed
    | Closed
    | ClosedElsewhere
    | StartFailed
)


def advance(job: Job, observation: Observation) -> Job:  # noqa: C901, PLR0911 - a case, a return
    """The job after an observation; the same object if nothing changes."""
    if job.state is State.GONE:
        return job
    match observation:
        case Started(workload_id, at, paused, node, ready):
            began = replace(
                job,
                workload_id=workload_id,
                started_at=at,
                paused=paused,
                node=node,
                ready=job.ready or ready,
                unhealthy=False,
                predecessor="",
            )
            return _moved(began)
        case KillIntended(by, here):
            has_ended = job.exit_seen and not job.backing_off  # by itself
            intended = job.kill_intended or not has_ended
            return _moved(replace(job, kill_intended=intended, being_killed=here, killer=by))
        case EndBegun(reason):
            return _moved(replace(job, ended_for=job.ended_for or reason)) if job.runs else job
        case KillFailed():
            failed = replace(job, kill_intended=False, being_killed=False, killer=NO_CALLER)
            return _moved(failed)
        case ExitSeen(signal):
            known = job.exit_signal if signal is None else signal
            return _moved(replace(job, exit_seen=True, exits=job.exits + 1, exit_signal=known))
        case FoundLive(at):
            intended = job.kill_intended or job.being_killed  # the kill ends it, too
            same: EndReason = "" if job.exit_seen else job.ended_for  # the end is that of a run
            live = replace(job, exit_seen=False, exit_signal=None, kill_intended=intended)
            live = replace(live, ended_for=same)
            return _moved(replace(live, backing_off=False, started_at=at or job.started_at))
        case PauseSeen(paused):
            return _moved(replace(job, paused=paused))
        case HealthSeen(healthy, unhealthy):
            return _moved(replace(job, ready=job.ready or healthy, unhealthy=unhealthy))
        case RunEnded() | RestartBegun() | RestartFailed():
            return _moved(_restarted(job, observation))
        case Closed():
            return _closed(job, observation)
        case StartFailed() | ClosedElsewhere():
            return replace(job, state=State.GONE)


def _restarted(job: Job, observation: RunEnded | RestartBegun | RestartFailed) -> Job:
    match observation:
        case RunEnded(end, restarts, at):
            ended = replace(job, exit_seen=True, ended_for="", paused=False)
            waits = replace(ended, backing_off=True, restart_at=at, last_end=end)
            return replace(waits, restarts=restarts)
        case RestartBegun():
            begins = replace(job, backing_off=False, exit_seen=False, exit_signal=None)
            old = job.workload_id or ""
            return replace(begins, workload_id=None, predecessor=old, run=job.run + 1)
        case RestartFailed(at):
            again = at is not None
            held = job.predecessor or job.workload_id
            failed = replace(job, workload_id=held, predecessor="", exit_seen=True)
            return replace(failed, backing_off=again, restart_at=at or 0.0, gave_up=not again)


def _moved(job: Job) -> Job:
    """The job in the state that follows from its facts."""
    if job.kill_intended:
        return replace(job, state=State.STOPPING)
    if job.backing_off:
        return replace(job, state=State.BACKING_OFF)
    if job.exit_seen:
        return replace(job, state=State.EXITED)
    if job.ended_for:
        return replace(job, state=State.STOPPING)
    if job.workload_id is None or job.awaits_health:
        return replace(job, state=State.STARTING)
    return replace(job, state=State.PAUSED if job.paused else State.RUNNING)


def _closed(job: Job, exited: Closed) -> Job:
    outcome, reason = outcome_of(job, exited), reason_of(job, exited)
    return replace(
        job,
        state=State.GONE,
        started_at=exited.started_at or job.started_at,
        ended_at=exited.at,
        killer=job.killer if outcome is Outcome.KILLED else NO_CALLER,
        outcome=outcome,
        exit_code=exited.exit_code,
        signal=exited.signal if outcome in _BY_ITSELF and not reason else None,
        ended_for="" if outcome is Outcome.KILLED else reason,
    )


def reason_of(job: Job, exited: Closed) -> EndReason:
    """Why a supervisor has ended a run."""
    return exited.ended_for or job.ended_for


def outcome_of(job: Job, exited: Closed) -> Outcome:  # noqa: PLR0911 - an outcome, a return
    """The outcome of a job, from its facts and from those of the exit."""
    if job.kill_intended:
        return Outcome.KILLED
    reason = reason_of(job, exited)
    if reason == "time_limit":
        return Outcome.TIMED_OUT
    if exited.exit_code is None:
        return Outcome.LOST
    if exited.oom_killed:
        return Outcome.OOM
    if reason == "unhealthy":
        return Outcome.ERROR  # whatever it makes of the signal to stop
    if exited.exit_code == 0 and job.ends and (exited.witnessed or exited.signal is None):
        return Outcome.SUCCESS
    if not exited.witnessed:
        return Outcome.LOST  # an engine that stops also stops its workloads
    return Outcome.UNEXPECTED_END if exited.exit_code == 0 else Outcome.ERROR
