"""`area-supervisor launch`: launches a job."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from observability.escaping import printable
from service.cli.client import calls_supervisor
from service.cli.completions import complete_job_name
from service.client.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from service._generated.supervisor.v1.observer_pb2 import Job
    from service.client.launching import Launch, Launched
    from service.client.supervisor import Supervisor


_Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The job's name in the catalogue.",
        autocompletion=complete_job_name,
    ),
]
_Identifier = Annotated[
    str, typer.Argument(metavar="IDENTIFIER", help="The identifier of the new job.")
]
_Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="KEY=VALUE", help="A parameter; JSON, or else a text."),
]
_AuthFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The credentials: a file with a JSON object; - is standard input.",
    ),
]

_NO_JOB = "there is no job; it has no image in the catalogue, or has ended and no history is kept"


@calls_supervisor
def launch(
    supervisor: "Supervisor",
    *,
    name: _Name,
    identifier: _Identifier,
    parameters: _Parameters = None,
    auth_file: _AuthFile = None,
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
    from service.cli.output import emit, notify
    from service.cli.parameters import parse_parameters
    from service.cli.progress import progress
    from service.client.launching import Launch
    from service.client.secret_files import read_credentials

    params = parse_parameters(parameters or [])
    auth = read_credentials("--auth-file", auth_file) if auth_file else {}
    launch = Launch(supervisor, name, identifier, params=params, auth=auth)
    if logs:
        made = _with_output(supervisor, launch, identifier)
    else:
        with progress(f"Launching {name}"):
            made = launch.finish()
        emit(_summary(identifier, made))
    if wait or logs:  # with --logs, standard output has the output of the job alone
        _await_end(supervisor, made, say=notify if logs else emit)


def _summary(identifier: str, made: "Launched") -> str:
    if made.error:
        return f"{printable(identifier)} launched"
    if made.job is None:
        return f"{printable(identifier)} launched: {_NO_JOB}"
    what = "launched" if made.is_own else "runs already"
    return f"{printable(identifier)} {what}: {made.job.launch_id}"


def _with_output(supervisor: "Supervisor", launch: "Launch", identifier: str) -> "Launched":
    """Print the output of the job from its first line on, also if it ends at once."""
    from service.cli.output import notify

    failure = None
    if first := launch.first_seen():
        notify(f"{printable(identifier)} is being launched: {first.launch_id}")
        failure = _print_output(supervisor, first)
    made = launch.finish()
    if not first:
        notify(_summary(identifier, made))
        failure = _print_output(supervisor, made.job) if made.job else None
    if failure:
        notify(str(failure))
    return made


def _print_output(supervisor: "Supervisor", job: "Job") -> CommandError | None:
    """Return what was wrong with it, because the end of the job is awaited all the same."""
    from service._generated.supervisor.v1.observer_pb2 import StreamLogsRequest
    from service.cli.logs import print_logs

    try:
        print_logs(supervisor, StreamLogsRequest(launch_id=job.launch_id, follow=True))
    except CommandError as error:
        if error.exit_code != ExitCode.FAILED:
            raise
        return error
    return None


def _await_end(supervisor: "Supervisor", made: "Launched", say: Callable[[str], None]) -> None:
    """Exit with 1 if the job has failed."""
    from service.cli.job_columns import outcome_of

    if made.error:
        raise made.error
    if made.job:
        end = _end(supervisor, made.job)
        say(f"{end.launch_id} has ended: {outcome_of(end)}")
        raise typer.Exit(0 if end.outcome == "success" else 1)


def _end(supervisor: "Supervisor", job: "Job") -> "Job":
    """The job once it has ended."""
    from service._generated.supervisor.v1.observer_pb2 import GetJobRequest
    from service.cli.output import notify
    from service.cli.progress import progress
    from service.client.watching import wait_for_end

    with progress(f"Waiting for {job.name}"):
        end = wait_for_end(supervisor, job.identifier, job.launch_id, notify)
    if end is not None and end.outcome:  # a supervisor may keep no history
        return end
    return supervisor.call(supervisor.observer.GetJob, GetJobRequest(launch_id=job.launch_id))
