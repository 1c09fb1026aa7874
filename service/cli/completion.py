"""`area-supervisor completion`: the script with which a shell completes commands."""

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> None:
    """Print the script with which a shell completes commands, options, jobs and identifiers.

    For bash: source <(area-supervisor completion bash)
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    from service.cli.output import say

    say(
        get_completion_script(
            prog_name="area-supervisor",
            complete_var="_AREA_SUPERVISOR_COMPLETE",
            shell=shell.value,
        )
    )
