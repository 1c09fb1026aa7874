"""How a container that nobody here has launched becomes a job."""

from service.engine.base import Engine, Inspection
from service.jobs.model import ExitSeen, Job, Started
from service.lifecycle.exit_hints import Hint, Recent
from service.lifecycle.reaper import Reaper
from service.reporting.job_reports import tell_adoption
from service.state.registry import Registry
from service.support.tasks import Background

# For how long an event about an unknown container is remembered (seconds): longer than it takes
# from an inspection to the decision that it is a job.
_REMEMBERED = 60.0


class Adoption:
    """The only way into the registry for what a launch has not reserved."""

    def __init__(
        self, engine: Engine, registry: Registry, reaper: Reaper, background: Background
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._reaper = reaper
        self._background = background
        self._heard: Recent[bool] = Recent(_REMEMBERED)

    def hear(self, workload_id: str, *, witnessed: bool) -> None:
        """Something has happened to a container that is no job; it may be about to become one."""
        self._heard.note(workload_id, witnessed)

    def take_over(self, job: Job, seen: Inspection) -> None:
        """Make a live container a job. If more was heard of it meanwhile, it is inspected again."""
        self._registry.adopt(job, Started(seen.id, seen.started_at, seen.paused))
        tell_adoption(job, seen)
        witnessed = self._heard.get(seen.id)
        if witnessed is not None:
            look = self._look(job.launch_id, witnessed=witnessed)
            self._background.spawn(look, f"reap {job.launch_id}")

    def close(self, job: Job, seen: Inspection) -> None:
        """Report an end that came while nobody followed it, and remove the container."""
        self._registry.adopt(job, Started(seen.id, seen.started_at))
        self._registry.observe(job.launch_id, ExitSeen())  # no launch may take it for running
        reap = self._reaper.reap(job.launch_id, Hint())
        self._background.spawn(reap, f"reap {job.launch_id}")

    async def _look(self, launch_id: str, *, witnessed: bool) -> None:
        witnessed = witnessed and not await self._engine.leaving()
        await self._reaper.reap(launch_id, Hint(witnessed=witnessed))
