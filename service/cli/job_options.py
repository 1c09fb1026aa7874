"""The options with which commands choose jobs."""

from typing import Annotated

import typer

from service.cli.completions import complete_identifier, complete_job_name

Name = Annotated[
    str,
    typer.Option(
        "--name",
        help="Only jobs of this name in the catalogue; * stands for any characters.",
        autocompletion=complete_job_name,
    ),
]
Prefix = Annotated[
    str,
    typer.Option(
        "--identifier",
        help="Only jobs whose identifier begins so.",
        autocompletion=complete_identifier,
    ),
]
Since = Annotated[
    str | None, typer.Option("--since", help="Only jobs since then: 10m, 2h, or a time.")
]
Outcome = Annotated[
    str, typer.Option("--outcome", help="Only jobs that have ended so, such as error.")
]
