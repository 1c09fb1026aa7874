"""The command line, as clients with different roles have it."""

import asyncio
from pathlib import Path

import pytest

from tests.access.served import Served
from tests.support.command_line import Ran, run


async def as_client(door: Served, folder: Path, who: str, *command: str) -> Ran:
    """Run a command with the token of a client, or without one."""
    token = []
    if who:
        (folder / who).write_text(f"of-{who}\n")
        token = ["--token-file", str(folder / who)]
    server = f"localhost:{door.port}"
    return await asyncio.to_thread(run, "--server", server, *token, *command)


@pytest.mark.parametrize(
    ("who", "allowed", "refused"),
    [
        ("night-shift", ["jobs", "history", "kill-all -y"], []),
        ("prometheus", ["jobs", "history"], ["kill-all -y", "launch timer x", "logs x", "cordon"]),
        ("backend", ["kill-all -y"], ["jobs", "history", "describe x", "logs x", "cordon"]),
        ("", [], ["jobs", "describe x", "kill-all -y", "launch timer x"]),
        ("nobody", [], ["jobs", "kill x"]),
    ],
)
async def test_what_a_role_does_not_allow_is_an_exit_4(
    who: str, allowed: list[str], refused: list[str], door: Served, tmp_path: Path
) -> None:
    for command in allowed:
        ran = await as_client(door, tmp_path, who, *command.split())
        assert (0, "") == (ran.code, ran.err), command
    for command in refused:
        ran = await as_client(door, tmp_path, who, *command.split())
        assert (4, "") == (ran.code, ran.out), command
        assert 1 == len(ran.err.splitlines())
        assert not who or f"of-{who}" not in ran.err
