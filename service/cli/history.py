"""`area-supervisor history`: how launches have ended."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import calls_supervisor
from service.cli.formats import Format, Output
from service.cli.job_options import Name, Outcome, Prefix
from service.cli.output import say

if TYPE_CHECKING:
    from service.client.supervisor import Supervisor

_MOST = 100


@calls_supervisor
def history(
    supervisor: "Supervisor",
    *,
    name: Name = "",
    identifier: Prefix = "",
    outcome: Outcome = "",
    failed: Annotated[
        bool, typer.Option("--failed", help="Only jobs that have failed, and were not killed.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Only jobs that have ended since then: 10m, 2h, or a time."),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            min=0,
            help="At most so many; 0 is all. By default a table has 100, other formats all.",
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """List the launches that have ended, newest first."""
    from service._generated.supervisor.v1.observer_pb2 import ListJobsRequest
    from service.cli.job_columns import HISTORY
    from service.cli.job_lists import print_jobs
    from service.cli.times import parse_since
    from service.client.messages import timestamp_of
    from service.client.requests import list_jobs

    wanted = ListJobsRequest(
        include="ended",
        name=name,
        identifier_prefix=identifier,
        outcome=outcome,
        failed=failed,
        ended_since=timestamp_of(parse_since(since)),
    )
    is_table = output in (Format.TABLE, Format.WIDE)
    if most is not None or not is_table:
        print_jobs(list_jobs(supervisor, wanted, most or 0), output, HISTORY)
        return
    found = list(list_jobs(supervisor, wanted, _MOST + 1))
    print_jobs(found[:_MOST], output, HISTORY)
    if len(found) > _MOST:
        say(f"There are more than these {_MOST}: -n 0 shows all.", err=True)
