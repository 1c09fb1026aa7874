"""What observations make of a job. Pure: no I/O, no clock, no locks.

    starting ──▶ running ──▶ stopping ──▶ gone
       ▲         └──▶ exited ─────▶ gone
       └─── backing off ◀─┘

A job is `starting` until it runs, or until it is healthy if its launch waits for that. It is
`stopping` as soon as a kill is intended or a supervisor ends its run, and `exited` once its
workload has exited without a kill. It is `gone` when the workload is out of the way and its name is
free, and `backing off` if it is to be started again instead. Observations are facts about a job's
workload; only `advance` turns them into states.
"""

from dataclasses import replace

from observability.callers import NO_CALLER
from service.jobs.model import Job, Outcome, State
from service.jobs.observations import (
    Closed,
    ClosedElsewhere,
    EndBegun,
    EndReason,
    ExitSeen,
    FoundLive,
    HealthSeen,
    ImageSeen,
    KillFailed,
    KillIntended,
    Observation,
    PauseSeen,
    PullSeen,
    RestartBegun,
    RestartFailed,
    RunEnded,
    Started,
    StartFailed,
)
from service.jobs.outcomes import outcome_of, reason_of

# The process has exited by itself, or because of a signal.
_BY_ITSELF = frozenset({Outcome.SUCCESS, Outcome.UNEXPECTED_END, Outcome.ERROR})


def advance(job: Job, observation: Observation) -> Job:  # noqa: C901, PLR0911 - a case, a return
    """The job after an observation; the same object if nothing changes."""
    if job.state is State.GONE:
        return job
    match observation:
        case Started(workload_id, at, paused, node, ready, name):
            began = replace(
                job,
                workload_id=workload_id,
                workload_name=name or job.workload_name,
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
            live = replace(live, ended_for=same, backing_off=False, gave_up=False)
            return _moved(replace(live, started_at=at or job.started_at))
        case PauseSeen(paused):
            return _moved(replace(job, paused=paused))
        case HealthSeen() | PullSeen() | ImageSeen():
            return _moved(_inspected(job, observation))
        case RunEnded() | RestartBegun() | RestartFailed():
            return _moved(_restarted(job, observation))
        case Closed():
            return _closed(job, observation)
        case StartFailed() | ClosedElsewhere():
            found = observation.found if isinstance(observation, StartFailed) else ""
            return replace(job, state=State.GONE, found=found)


def _inspected(job: Job, observation: HealthSeen | PullSeen | ImageSeen) -> Job:
    match observation:
        case HealthSeen(healthy, unhealthy):
            return replace(job, ready=job.ready or healthy, unhealthy=unhealthy)
        case PullSeen(under_way):
            return replace(job, pulling=under_way)
        case ImageSeen(workload_id, digest):
            is_news = digest and workload_id == job.workload_id
            return replace(job, image_digest=digest) if is_news else job


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
        oom_killed=exited.oom_killed,
        last_lines=exited.last_lines,
        signal=exited.signal if outcome in _BY_ITSELF and not reason else None,
        ended_for="" if outcome is Outcome.KILLED else reason,
    )
