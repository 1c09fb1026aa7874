"""Why a job has failed, in words for the users of Area."""

from datetime import UTC, datetime

from service.jobs.model import Job, Outcome

_REASONS = {
    Outcome.UNEXPECTED_END: "it ended, though it should have gone on",
    Outcome.ERROR: "it ended with exit code {exit_code}",
    Outcome.OOM: "it ran out of memory and was ended",
    Outcome.TIMED_OUT: "it had run for as long as it may, and was ended",
    Outcome.LOST: "it is gone, and the reason is not known",
}
_UNHEALTHY = "its health check failed, and it was ended"
_BY_OTHERS = "somebody has stopped it on its host"


def reason_of(job: Job) -> str:
    """A sentence, and the last lines of the job's output if they are known."""
    assert job.outcome is not None
    assert job.ended_at is not None
    ended = datetime.fromtimestamp(job.ended_at, UTC)
    sentence = f"{job.name} failed on {ended:%Y-%m-%d at %H:%M:%S} UTC: {_cause(job)}"
    if count := job.restarts.total:
        sentence += f", after {count} restart{'s' if count > 1 else ''}"
    return f"{sentence}.\nIts last lines:\n{job.last_lines}" if job.last_lines else f"{sentence}."


def _cause(job: Job) -> str:
    assert job.outcome is not None
    if job.ended_for == "unhealthy":
        return _UNHEALTHY
    if job.signal is not None:
        return _BY_OTHERS
    return _REASONS[job.outcome].format(exit_code=job.exit_code)
