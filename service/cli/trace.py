"""`area-supervisor trace`: the trace of a launch."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import calls_supervisor
from service.cli.describe import Which

if TYPE_CHECKING:
    from service.client.supervisor import Supervisor


@calls_supervisor
def trace(
    supervisor: "Supervisor",
    which: Which,
    url: Annotated[
        str,
        typer.Option(
            metavar="TEMPLATE",
            help="The address of a trace, with {trace_id} in it. [AREA_SUPERVISOR_TRACE_URL]",
        ),
    ] = "",
) -> None:
    """Print the link to the trace of a launch, or its trace id if no address is set."""
    from observability.escaping import printable
    from observability.secret_signs import shown_setting
    from service.cli.description import trace_link
    from service.cli.output import emit
    from service.client.errors import CommandError, usage
    from service.client.requests import find_job

    template = url or supervisor.target.trace_url
    if template and "{trace_id}" not in template:
        shown = shown_setting(template)
        raise usage(f"the address of traces: {shown}: {{trace_id}} is missing in it")
    job = find_job(supervisor, which)
    if not job.trace_id:
        raise CommandError(f"{printable(which)}: has no trace")
    emit(printable(trace_link(template, job.trace_id)))
