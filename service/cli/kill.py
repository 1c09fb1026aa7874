"""`area-supervisor kill`: ends the jobs of identifiers."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import calls_supervisor
from service.cli.completions import complete_identifier

if TYPE_CHECKING:
    from service.client.supervisor import Supervisor


@calls_supervisor
def kill(
    supervisor: "Supervisor",
    identifiers: Annotated[
        list[str],
        typer.Argument(
            metavar="IDENTIFIER...",
            help="The identifiers, as they were given to the launches.",
            autocompletion=complete_identifier,
        ),
    ],
) -> None:
    """Kill every job of an identifier, and wait until it is gone.

    The exit code is that of the first that has failed. Of a job that has ended already, nothing is
    killed, and that is no failure.
    """
    from service.cli.output import notify
    from service.client.errors import CommandError

    failures = []
    for identifier in identifiers:
        try:
            _kill(supervisor, identifier)
        except CommandError as error:
            notify(str(error))
            failures.append(error)
    if failures:
        raise typer.Exit(failures[0].exit_code)


def _kill(supervisor: "Supervisor", identifier: str) -> None:
    from observability.escaping import printable
    from service._generated.area_supervisor_pb2 import JobId
    from service.cli.output import emit
    from service.client.errors import CommandError, ExitCode, usage
    from service.client.requests import require_success

    if not identifier:  # as from an unset variable of a script
        raise usage("IDENTIFIER: is empty; allowed is the identifier of a job")
    known = _state(supervisor, identifier)
    answer = supervisor.call(supervisor.jobs.KillJob, JobId(identifier=identifier), timeout=None)
    shown = printable(identifier)
    require_success(answer, f"{shown} was not killed")
    if known is None:
        raise CommandError(f"{shown}: is not known", ExitCode.UNKNOWN)
    emit(f"{shown} had ended already" if known == "gone" else f"{shown} killed")


def _state(supervisor: "Supervisor", identifier: str) -> str | None:
    """The state before the kill; None if there is no such job, and "" if that cannot be asked."""
    from service._generated.supervisor.v1.observer_pb2 import GetJobRequest
    from service.client.errors import CommandError, ExitCode

    get_job = supervisor.observer.GetJob  # which fails without a supervisor
    try:
        return supervisor.call(get_job, GetJobRequest(identifier=identifier)).state
    except CommandError as error:
        return None if error.exit_code == ExitCode.UNKNOWN else ""
