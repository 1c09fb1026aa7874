"""`area-supervisor jobs`: what runs."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import calls_supervisor
from service.cli.formats import Format, Output
from service.cli.job_options import Name, Outcome, Prefix, Since
from service.cli.output import end_with_reader, flush, notify

if TYPE_CHECKING:
    from service.client.supervisor import Supervisor


@calls_supervisor
def jobs(
    supervisor: "Supervisor",
    *,
    name: Name = "",
    identifier: Prefix = "",
    state: Annotated[
        str, typer.Option("--state", help="Only jobs in this state, such as running.")
    ] = "",
    since: Since = None,
    outcome: Outcome = "",
    ended: Annotated[bool, typer.Option("--all", "-a", help="Also jobs that have ended.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on with every change.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """List the jobs that run, newest launch last, and then those that have ended, newest first."""
    from service._generated.supervisor.v1.observer_pb2 import ListJobsRequest
    from service.cli.job_columns import JOBS
    from service.cli.job_lists import print_jobs
    from service.cli.times import parse_since
    from service.client.errors import usage
    from service.client.messages import timestamp_of
    from service.client.requests import list_jobs

    if watch:
        if state or since or outcome or ended:
            raise usage("--watch: goes with --name and --identifier only")
        _watch(supervisor, name, identifier, output)
        return
    wanted = ListJobsRequest(
        include="both" if ended or outcome else "live",
        name=name,
        identifier_prefix=identifier,
        state=state,
        outcome=outcome,
        since=timestamp_of(parse_since(since)),
    )
    print_jobs(list_jobs(supervisor, wanted), output, JOBS)


def _watch(supervisor: "Supervisor", name: str, identifier: str, output: Format) -> None:
    from service._generated.supervisor.v1.observer_pb2 import WatchJobsRequest
    from service.cli.job_columns import JOBS
    from service.cli.job_lists import Changes
    from service.client.watching import watch_jobs

    end_with_reader()
    changes = Changes(output, JOBS)
    wanted = WatchJobsRequest(name=name, identifier_prefix=identifier)
    for message in watch_jobs(supervisor, wanted, notify):
        if message.kind == "gap":
            notify("changes are missing here; what runs now follows")
        changes.print(message.jobs)
        flush()
