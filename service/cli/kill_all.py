"""`area-supervisor kill-all`: ends every job."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import calls_supervisor

if TYPE_CHECKING:
    from service.client.supervisor import Supervisor


@calls_supervisor
def kill_all(
    supervisor: "Supervisor",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Kill every job, also launches that are under way, and wait until they are gone."""
    from service.cli.output import confirmed, emit
    from service.client.errors import CommandError
    from service.client.requests import NOTHING, require_success

    running = supervisor.call(supervisor.jobs.ListJobs, NOTHING)
    count = len(running.jobs)
    if not yes and not confirmed(f"Kill all {count} jobs of {supervisor.target}?"):
        raise CommandError("nothing was killed")
    answer = supervisor.call(supervisor.jobs.KillAllJobs, NOTHING, timeout=None)
    require_success(answer, "not all jobs were killed")
    emit(f"{count} jobs killed")
