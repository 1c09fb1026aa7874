"""The facts about an exit, from an inspection and the hints."""

import time
from signal import SIGKILL

from service.engine.workloads import Inspection
from service.jobs.model import Job
from service.jobs.observations import Closed
from service.lifecycle.exit_hints import Hint

# The exit code of a workload that SIGKILL has ended.
_SIGKILLED = 137


def exit_of(seen: Inspection, hint: Hint) -> Closed:
    """How an inspected workload has exited."""
    return Closed(
        seen.ended_at or time.time(),
        seen.exit_code,
        oom_killed=seen.oom_killed or hint.oom_killed,
        started_at=seen.started_at,
        witnessed=hint.witnessed or seen.witnessed,
        signal=hint.signal,
    )


def exit_without_workload(hint: Hint) -> Closed:
    """How a workload has exited that is gone: only the hint says that."""
    return Closed(
        time.time(),
        hint.exit_code,
        oom_killed=hint.oom_killed,
        witnessed=hint.witnessed,
        signal=hint.signal,
    )


def cause_may_follow(job: Job, seen: Inspection, hint: Hint) -> bool:
    """Whether the engine may still report why it has killed an exited workload: lack of memory."""
    out_of_memory = seen.oom_killed or hint.oom_killed
    explained = out_of_memory or job.ended_here or hint.signal == SIGKILL
    return seen.exit_code == _SIGKILLED and hint.witnessed and not (hint.waited or explained)
