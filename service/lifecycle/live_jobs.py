"""Notes the state of a job's live workload as it was seen, and logs it if it is new."""

from service.engine.workloads import Health, Inspection
from service.jobs.model import Job
from service.jobs.observations import FoundLive, HealthSeen, PauseSeen
from service.lifecycle.last_lines import probe_lines
from service.reporting.job_reports import log_health, log_pause
from service.state.registry import Registry


def note_live(registry: Registry, job: Job, seen: Inspection, exits: int) -> None:
    """Note that the workload is live, maybe again. During a kill, only note pause and health.

    `exits` is their number when the inspection began: if there is another one, it is stale.
    """
    if exits != registry.current(job).exits:
        return
    note_pause(registry, job.launch_id, paused=seen.paused)
    note_health(registry, job.launch_id, seen)
    now = registry.get(job.launch_id)
    if now is not None and not now.kill_intended:
        registry.observe(job.launch_id, FoundLive(seen.started_at))


def note_pause(registry: Registry, launch_id: str, *, paused: bool) -> None:
    """Note whether a third party has paused a job, and log it if that is new."""
    job = registry.get(launch_id)
    if job is not None and job.paused != paused:
        registry.observe(launch_id, PauseSeen(paused))
        log_pause(job, paused=paused)


def note_health(registry: Registry, launch_id: str, seen: Inspection) -> None:
    """Note the health of a job's live workload, if the engine reports it.

    Not while the job is being stopped: Docker then calls it unhealthy, because the part that
    answers probes may be shutting down.
    """
    job = registry.get(launch_id)
    if job is None or job.workload_id != seen.id or seen.health is Health.UNKNOWN:
        return
    if job.ended_here:
        return
    healthy, unhealthy = seen.health is Health.HEALTHY, seen.health is Health.UNHEALTHY
    if job.unhealthy == unhealthy and not (healthy and job.awaits_health):
        return
    registry.observe(launch_id, HealthSeen(healthy=healthy, unhealthy=unhealthy))
    log_health(job, seen, output=probe_lines(job, seen))
