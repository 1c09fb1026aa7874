"""`area-supervisor describe`: all that is known of a launch."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import calls_supervisor
from service.cli.completions import complete_identifier
from service.cli.formats import Format, Output

if TYPE_CHECKING:
    from service.client.supervisor import Supervisor

Which = Annotated[
    str,
    typer.Argument(
        metavar="IDENTIFIER",
        help="The identifier, of which the newest launch counts, or a launch id.",
        autocompletion=complete_identifier,
    ),
]


@calls_supervisor
def describe(supervisor: "Supervisor", which: Which, output: Output = Format.TABLE) -> None:
    """Show all that is known of a job, live or ended: also why it has ended, and its last lines."""
    from service.cli.description import description
    from service.cli.formats import as_json, as_yaml
    from service.cli.output import emit
    from service.client.messages import as_dict
    from service.client.requests import find_job

    job = find_job(supervisor, which)
    if output is Format.JSON:
        emit(as_json(as_dict(job)))
    elif output is Format.YAML:
        emit(as_yaml(as_dict(job)), nl=False)
    elif output is Format.NAME:
        from observability.escaping import printable

        emit(printable(job.identifier))
    else:
        for line in description(job, supervisor.target.trace_url):
            emit(line)
