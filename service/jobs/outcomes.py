"""How a job ended, from its facts and from those of the exit. Pure."""

from service.jobs.model import Job, Outcome
from service.jobs.observations import Closed, EndReason


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
