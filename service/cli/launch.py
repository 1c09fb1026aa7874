"""`area-supervisor launch`: launches a job."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from observability.escaping import printable
from service.cli.client import calls_supervisor
from service.cli.completions import complete_job_name

if TYPE_CHECKING:
    from service._generated.supervisor.v1.observer_pb2 import Job
    from service.client.launching import Launched
    from service.client.supervisor import Supervisor


@calls_supervisor
def launch(
    supervisor: "Supervisor",
    *,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The job's name in the catalogue.",
            autocompletion=complete_job_name,
        ),
    ],
    identifier: Annotated[
        str, typer.Argument(metavar="IDENTIFIER", help="The identifier of the new job.")
    ],
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--param", "-p", metavar="KEY=VALUE", help="A parameter; JSON, or else a text."
        ),
    ] = None,
    auth_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The credentials: a file with a JSON object; - is standard input.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for its end; exit code 1 if it has failed.")
    ] = False,
    logs: Annotated[
        bool, typer.Option("--logs", help="Print what it writes, and wait for its end.")
    ] = False,
) -> None:
    """Launch a job, and wait until it runs.

    If an action with this identifier runs already, nothing is launched, and that is a success.
    """
    from service.cli.job_columns import outcome_of
    from service.cli.output import emit, tell
    from service.cli.parameters import parse_parameters
    from service.cli.progress import progress
    from service.client.launching import launched
    from service.client.secret_files import read_credentials

    params = parse_parameters(parameters or [])
    auth = read_credentials("--auth-file", auth_file) if auth_file else {}
    with progress(f"Launching {name}"):
        made = launched(supervisor, name, identifier, params, auth)
    tell_of = tell if logs else emit  # the output of the job stays apart
    tell_of(_told(identifier, made))
    if not (wait or logs):
        return
    if made.error:
        raise made.error
    if made.job:
        end = _end(supervisor, made.job, logs=logs)
        tell_of(f"{end.launch_id} has ended: {outcome_of(end)}")
        raise typer.Exit(0 if end.outcome == "success" else 1)


def _told(identifier: str, made: "Launched") -> str:
    if made.job is None:
        return f"{printable(identifier)} launched"
    what = "launched" if made.is_own else "runs already"
    return f"{printable(identifier)} {what}: {made.job.launch_id}"


def _end(supervisor: "Supervisor", job: "Job", *, logs: bool) -> "Job":
    """The job once it has ended."""
    from service._generated.supervisor.v1.observer_pb2 import GetJobRequest, StreamLogsRequest
    from service.cli.logs import print_logs
    from service.cli.output import tell
    from service.cli.progress import progress
    from service.client.watching import wait_for_end

    if logs:
        print_logs(supervisor, StreamLogsRequest(launch_id=job.launch_id, follow=True))
    with progress(f"Waiting for {job.name}"):
        wait_for_end(supervisor, job.identifier, job.launch_id, tell)
    return supervisor.call(supervisor.observer.GetJob, GetJobRequest(launch_id=job.launch_id))
