"""`area-supervisor logs`: the output of a job."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.client import calls_supervisor
from service.cli.describe import Which
from service.cli.job_options import Since

if TYPE_CHECKING:
    from service._generated.supervisor.v1.observer_pb2 import StreamLogsRequest
    from service.client.supervisor import Supervisor


@calls_supervisor
def logs(
    supervisor: "Supervisor",
    which: Which,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")
    ] = False,
    tail: Annotated[
        int | None,
        typer.Option("--tail", "-n", min=0, max=100_000, help="Only so many of the last lines."),
    ] = None,
    since: Since = None,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="With the time of each line.")
    ] = False,
) -> None:
    """Print what a job has written to its standard output and standard error.

    Of a job that has ended, this is what the history has kept of it.
    """
    from service._generated.supervisor.v1.observer_pb2 import StreamLogsRequest
    from service.cli.times import parse_since
    from service.client.messages import timestamp_of
    from service.client.requests import by_either

    from_then = timestamp_of(parse_since(since))

    def print_those(**which: str) -> None:
        request = StreamLogsRequest(
            **which, follow=follow, tail=tail, since=from_then, timestamps=timestamps
        )
        print_logs(supervisor, request)

    by_either(which, print_those)


def print_logs(supervisor: "Supervisor", request: "StreamLogsRequest") -> None:
    """Print the lines as they come. On a terminal, control characters are written out."""
    from service.cli.output import emit, end_with_reader, flush
    from service.cli.terminal import harmless, has_colours, width
    from service.client.messages import rfc3339, seconds_of

    end_with_reader()
    raw, colours = width() is None, has_colours()
    for message in supervisor.stream(supervisor.observer.StreamLogs, request):
        lines = []
        for line in message.lines:
            text = line.text.rstrip("\r\n")
            shown = text if raw else harmless(text, colours=colours)
            timed = request.timestamps and line.HasField("time")  # the history keeps no times
            at = f"{rfc3339(seconds_of(line.time))} " if timed else ""
            lines.append(f"{at}{shown}\n")
        emit("".join(lines), nl=False)
        flush()
