"""`area-supervisor completion`: the script with which a shell completes commands."""

from enum import StrEnum
from typing import Annotated

import typer

_PROGRAM = "area-supervisor"


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

    script = get_completion_script(
        prog_name=_PROGRAM, complete_var="_AREA_SUPERVISOR_COMPLETE", shell=shell.value
    )
    say(_answering(script) if shell is Shell.ZSH else script)


def _answering(script: str) -> str:
    """The script for zsh, which also answers the first Tab if it is a file in a folder of `fpath`.

    zsh runs such a file for the first Tab, and typer's would only define a function then.
    """
    *before, registers = script.splitlines()
    function = registers.split()[1]
    called = f'if [[ "$funcstack[1]" = "_{_PROGRAM}" ]]; then'
    return "\n".join((*before, called, f"  {function}", "else", f"  {registers}", "fi"))
