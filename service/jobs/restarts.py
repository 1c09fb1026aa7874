"""Decides whether a job that has ended is started again, and computes the pause before. Pure."""

import random
from dataclasses import dataclass
from typing import Literal

from service.jobs.model import Job, Outcome
from service.jobs.observations import Closed
from service.jobs.outcomes import outcome_of, reason_of
from service.jobs.restart_policy import RestartPolicy, Restarts

NotRestarted = Literal["", "success", "exit_code", "attempts", "refused"]
"""Why a job is not started again: "" if it was killed, also after its end, or has no policy."""


@dataclass(frozen=True, slots=True)
class Again:
    """A job is started again after so many seconds. `restarts` counts that one, too."""

    restarts: Restarts
    wait: float


def after_end(job: Job, exited: Closed) -> Again | NotRestarted:
    """Whether and when a job is started again after the end of a run."""
    outcome, policy = outcome_of(job, exited), job.restart
    if policy is None or outcome is Outcome.KILLED or job.being_killed:
        return ""
    if job.gave_up:
        return "refused"
    if _has_done_its_work(policy, outcome):
        return "success"
    if exited.exit_code in policy.final_exit_codes and not reason_of(job, exited):
        return "exit_code"
    began = exited.started_at or job.started_at or exited.at
    restarts = _next(policy, job.restarts, ran=exited.at - began, at=exited.at)
    if restarts is None:
        return "attempts"
    wait = random.uniform(0, policy.longest_wait(restarts))  # noqa: S311 - jitter, no secret
    return Again(restarts, wait)


def _has_done_its_work(policy: RestartPolicy, outcome: Outcome) -> bool:
    """Whether an end is no failure. An action that should go on has none that is its work."""
    ended = outcome is Outcome.UNEXPECTED_END and policy.on == "failure"
    return ended or outcome is Outcome.SUCCESS


def _next(policy: RestartPolicy, so_far: Restarts, *, ran: float, at: float) -> Restarts | None:
    """The restarts with one more; None if the window has no attempt left."""
    goes_on = so_far.in_window and at - so_far.window_began <= policy.window
    used, began = (so_far.in_window, so_far.window_began) if goes_on else (0, at)
    if used >= policy.attempts:
        return None
    in_a_row = 0 if ran > policy.most else so_far.in_a_row
    return Restarts(so_far.total + 1, used + 1, began, in_a_row + 1)
