"""What a job is and which states it goes through. Pure: no I/O, no clock, no locks.

    starting ──▶ running ──▶ stopping ──▶ gone
                 └──▶ exited ─────▶ gone

A job is `stopping` from the moment a kill is intended, and `exited` once its container was seen to
have ended without one; until the container is gone and its name is free. Observations are facts
about the container of one launch; `advance` is the only place that turns one into the next state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from observability.callers import NOBODY, Caller

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


class Kind(StrEnum):
    """Whether launches of one identifier are grouped (action) or each run (reaction)."""

    ACTION = "action"
    REACTION = "reaction"


class State(StrEnum):
    """Where a job is. All but the last two are what ListJobs says."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"  # by a third party
    STOPPING = "stopping"  # because we were asked to
    EXITED = "exited"  # without that; its name is not free yet
    GONE = "gone"


class Outcome(StrEnum):
    """How a job ended."""

    SUCCESS = "success"
    UNEXPECTED_END = "ended"  # exit 0 of an action that should have gone on
    ERROR = "error"
    OOM = "oom"
    KILLED = "killed"  # because we were asked to
    LOST = "lost"  # it was found dead, or not at all, and nobody can tell why


FAILED_OUTCOMES = frozenset({Outcome.ERROR, Outcome.OOM, Outcome.UNEXPECTED_END, Outcome.LOST})
# Where the container's process has ended for reasons of its own, or because of a signal.
_BY_ITSELF = frozenset({Outcome.SUCCESS, Outcome.UNEXPECTED_END, Outcome.ERROR})
_BADLY = frozenset({Outcome.UNEXPECTED_END, Outcome.ERROR, Outcome.OOM})

# An end within this time of the start (seconds) is an early one.
EARLY = 10.0


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a backend asks to be launched. `auth` is secret and stays out of the repr.

    `fingerprint` tells a request that is sent again; 0 where nobody knows. `idempotency_key` is
    empty where none was given.
    """

    name: str
    identifier: str
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    auth: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    fingerprint: int = field(default=0, compare=False)
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One launch of a job. Times are seconds since the epoch."""

    launch_id: str
    name: str
    identifier: str
    kind: Kind
    ends: bool = False
    fingerprint: int = 0  # of its request; 0 for a job that was taken over
    digests: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)  # likewise
    idempotency_key: str = ""  # that its request came with
    traceparent: str | None = None  # the span of its launch
    adopted: bool = False  # it ran before this process knew of it
    state: State = State.STARTING
    workload_id: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    kill_intended: bool = False
    killer: Caller = NOBODY  # who asked for that
    being_killed: bool = False  # a kill waits for its end, whether or not that is why it ends
    exit_seen: bool = False
    exits: int = 0  # so far: a third party may start the container again
    exit_signal: int | None = None  # that came before the exit that was seen, and is not ours
    paused: bool = False
    outcome: Outcome | None = None
    exit_code: int | None = None
    signal: int | None = None  # that others have ended it with; 0 where it is not known

    @property
    def grouped(self) -> bool:
        """Whether the identifier may have one live container at most."""
        return self.kind is Kind.ACTION

    @property
    def closing(self) -> bool:
        """Whether it is on its way out, so that a launch of its identifier runs anew."""
        return self.state in (State.STOPPING, State.EXITED)

    @property
    def runs(self) -> bool:
        """Whether it has a container that has not ended, as far as is known."""
        has_ended = self.exit_seen or self.state is State.GONE
        return self.workload_id is not None and not has_ended

    @property
    def steady(self) -> bool:
        """Whether nothing is under way with it."""
        return self.state in (State.RUNNING, State.PAUSED)

    @property
    def ended_early(self) -> bool:
        """Whether it ended badly soon after its start, and nobody else has ended it."""
        if self.started_at is None or self.ended_at is None:
            return False
        badly = self.outcome in _BADLY and self.signal is None
        return badly and self.ended_at - self.started_at < EARLY


@dataclass(frozen=True, slots=True)
class Started:
    """The container runs."""

    workload_id: str
    at: float
    paused: bool = False  # where it was found so


@dataclass(frozen=True, slots=True)
class KillIntended:
    """Somebody asked for its end: the exit that follows is a kill and not a crash."""

    by: Caller = NOBODY


@dataclass(frozen=True, slots=True)
class KillFailed:
    """It could not be stopped, and runs on."""


@dataclass(frozen=True, slots=True)
class ExitSeen:
    """The container has exited; why is not known yet and its name is not free yet."""

    signal: int | None = None  # that it has got before, but not from a kill of ours


@dataclass(frozen=True, slots=True)
class FoundLive:
    """The container runs, or is paused; maybe a third party has started it again."""


@dataclass(frozen=True, slots=True)
class PauseSeen:
    """A third party has paused the container, or lets it go on."""

    paused: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """The container is out of the way. `exit_code` is None where nobody can tell it any more."""

    at: float
    exit_code: int | None = None
    oom_killed: bool = False
    started_at: float | None = None  # as the Engine tells it, which knows better than we do
    witnessed: bool = True  # False where the Engine had been away, or was going away
    signal: int | None = None  # that others have sent shortly before; 0 where it is not known


@dataclass(frozen=True, slots=True)
class StartFailed:
    """There is no container and there will be none."""


Observation = (
    Started | KillIntended | KillFailed | ExitSeen | FoundLive | PauseSeen | Closed | StartFailed
)


def advance(job: Job, observation: Observation) -> Job:  # noqa: PLR0911 - a case, a return
    """The job after the observation; the same job where the observation says nothing new."""
    if job.state is State.GONE:
        return job
    match observation:
        case Started(workload_id, at, paused):
            return _moved(replace(job, workload_id=workload_id, started_at=at, paused=paused))
        case KillIntended(by):
            intended = job.kill_intended or not job.exit_seen
            killer = by if intended else NOBODY  # it has ended by itself
            return _moved(replace(job, kill_intended=intended, being_killed=True, killer=killer))
        case KillFailed():
            failed = replace(job, kill_intended=False, being_killed=False, killer=NOBODY)
            return _moved(failed)
        case ExitSeen(signal):
            known = job.exit_signal if signal is None else signal
            return _moved(replace(job, exit_seen=True, exits=job.exits + 1, exit_signal=known))
        case FoundLive():
            return _moved(replace(job, exit_seen=False, exit_signal=None))
        case PauseSeen(paused):
            return _moved(replace(job, paused=paused))
        case Closed():
            return _closed(job, observation)
        case StartFailed():
            return replace(job, state=State.GONE)


def _moved(job: Job) -> Job:
    """The job in the state that its facts add up to."""
    if job.kill_intended:
        return replace(job, state=State.STOPPING)
    if job.exit_seen:
        return replace(job, state=State.EXITED)
    if job.workload_id is None:
        return replace(job, state=State.STARTING)
    return replace(job, state=State.PAUSED if job.paused else State.RUNNING)


def _closed(job: Job, exited: Closed) -> Job:
    outcome = outcome_of(job, exited)
    return replace(
        job,
        state=State.GONE,
        started_at=exited.started_at or job.started_at,
        ended_at=exited.at,
        outcome=outcome,
        exit_code=exited.exit_code,
        signal=exited.signal if outcome in _BY_ITSELF else None,
    )


def outcome_of(job: Job, exited: Closed) -> Outcome:
    """How a job ended, from who wanted it and what the container said."""
    if job.kill_intended:
        return Outcome.KILLED
    if exited.exit_code is None:
        return Outcome.LOST
    if exited.oom_killed:
        return Outcome.OOM
    if exited.exit_code == 0 and job.ends and (exited.witnessed or exited.signal is None):
        return Outcome.SUCCESS
    if not exited.witnessed:
        return Outcome.LOST  # an Engine that stops takes its containers along
    return Outcome.UNEXPECTED_END if exited.exit_code == 0 else Outcome.ERROR
