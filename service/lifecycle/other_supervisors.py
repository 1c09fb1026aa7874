"""Which of several supervisors of one instance reports the exit of a job: the one that removes it.

The engine lets one of them remove a workload. The others then find it gone, and report nothing.
The supervisor that has launched or is killing a job knows more, so the others wait for it: for as
long as it takes if that supervisor works, and for some seconds if it does not.
"""

import time
from collections.abc import Awaitable

from service.engine.base import Engine
from service.engine.workloads import Inspection
from service.errors import EngineFailed, EngineTimeout, EngineUnavailable
from service.jobs.model import Job
from service.jobs.observations import ClosedElsewhere, EndBegun, KillIntended
from service.lifecycle.exit_hints import Hint
from service.lifecycle.removal import Removal
from service.reporting.job_reports import log_closed_elsewhere
from service.settings import Settings
from service.state.registry import Registry

# How long the others wait for it (seconds).
_WAIT = 5.0
# How much earlier than here a time limit may be over for another supervisor (seconds).
_SKEW = 5.0


class OtherSupervisors:
    """Knows what is left to the other supervisors: nothing, if the engine cannot be shared."""

    def __init__(self, engine: Engine, registry: Registry, settings: Settings) -> None:
        self._engine = engine
        self._registry = registry
        # So long after its start, the launch of a workload may still be under way (seconds).
        self._young = settings.launch_timeout_seconds
        self._unanswered: set[str] = set()  # launch ids

    @property
    def may_exist(self) -> bool:
        """Whether others may use the engine."""
        return self._engine.capabilities.shared

    def note_stop(self, launch_id: str, seen: Inspection) -> None:
        """Note that a supervisor is stopping a workload, or has stopped it, if one does."""
        if seen.stopping:
            self.note_stopping(launch_id, seen.ended_at or time.time())

    def note_stopping(self, launch_id: str, at: float) -> None:
        """Note that a supervisor is stopping a workload, or has done so before `at`.

        Another one does it for a kill, or since the job's time is over; then it is restarted.
        """
        job = self._registry.get(launch_id)
        if job is None or job.being_killed or job.ended_for:
            return
        over = _is_over(job, at)
        begun = EndBegun("time_limit") if over else KillIntended(here=False)
        self._registry.observe(launch_id, begun)

    async def wait_for(self, launch_id: str) -> None:
        """Let another supervisor close a job that it has launched or is killing."""
        job = self._registry.get(launch_id)
        if job is None or not self._is_theirs(job):
            return
        await self._registry.wait_within(launch_id, lambda job: job.being_killed, _WAIT)

    def _is_theirs(self, job: Job) -> bool:
        if not self.may_exist or job.being_killed:
            return False
        young = time.time() - (job.started_at or 0.0) < self._young
        return job.kill_intended or (job.adopted and young)

    async def note_lost_answer(self, job: Job, removal: Awaitable[Removal]) -> Removal:
        """Make a removal. If it gets no answer and the workload is gone later, it was ours."""
        try:
            done = await removal
        except (EngineUnavailable, EngineTimeout, EngineFailed):
            self._unanswered.add(job.launch_id)
            raise
        if done is not Removal.GONE:
            self._unanswered.discard(job.launch_id)
        return done

    def close(self, job: Job, hint: Hint) -> bool:
        """Close a job whose workload is gone; False if this supervisor has to report its exit.

        If the workload ran when it was removed, no supervisor has removed it. The one that launched
        the job then reports the exit.
        """
        unanswered = job.launch_id in self._unanswered
        self._unanswered.discard(job.launch_id)
        if not self.may_exist or unanswered or (hint.ran and not job.adopted):
            return False
        if self._registry.observe(job.launch_id, ClosedElsewhere()):
            log_closed_elsewhere(job)
        return True


def _is_over(job: Job, at: float) -> bool:
    """Whether a job had run for as long as it may, by the clock of a supervisor that is ahead."""
    if job.time_limit is None or job.started_at is None:
        return False
    return at - job.started_at > job.time_limit - min(_SKEW, job.time_limit / 2)
