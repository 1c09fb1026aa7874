"""What the last lines of a container say about a program that could not be run."""

import pytest

from service.engine.docker.start_check import obstacle_in


@pytest.mark.parametrize(
    "shell",
    [
        '/odd: 1: Syntax error: word unexpected (expecting ")")',  # dash
        '/odd: line 1: syntax error: unexpected word (expecting ")")',  # busybox 1.35
        '/odd: line 0: syntax error: unexpected word (expecting ")")',  # busybox 1.37
        "/odd: line 1: \x7fELF\x02: not found",
        "/odd: /odd: cannot execute binary file",  # bash
    ],
)
def test_a_program_that_a_shell_reads_as_a_script_has_the_wrong_format(shell: str) -> None:
    assert "exec format error" == obstacle_in(f"{shell}\n", lambda: "/odd")


@pytest.mark.parametrize("line", ["/odd: line 2: syntax error", "/odd: line 10: x: not found", ""])
def test_an_error_further_on_is_the_scripts_own(line: str) -> None:
    assert "" == obstacle_in(line, lambda: "/odd")
