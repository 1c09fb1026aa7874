"""What an inspection says of a job's health: it is noted, and logged if it is news."""

from service.engine.workloads import Health, Inspection
from service.jobs.observations import HealthSeen
from service.lifecycle.last_lines import probe_lines
from service.reporting.job_reports import log_health
from service.state.registry import Registry


def note_health(registry: Registry, launch_id: str, seen: Inspection) -> None:
    """Note the health of a job's live workload. Nothing if the engine does not tell it.

    Nor while the job is being stopped: Docker then calls it unhealthy, and what probes it may be
    shutting down.
    """
    job = registry.get(launch_id)
    if job is None or job.workload_id != seen.id or seen.health is Health.UNTOLD:
        return
    if job.ended_here:
        return
    healthy, unhealthy = seen.health is Health.HEALTHY, seen.health is Health.UNHEALTHY
    if job.unhealthy == unhealthy and not (healthy and job.awaits_health):
        return
    registry.observe(launch_id, HealthSeen(healthy=healthy, unhealthy=unhealthy))
    log_health(job, seen, output=probe_lines(job, seen))
