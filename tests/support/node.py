"""Programs of tests/node, which have the client of examples/clients and the stock one below it."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from scripts import node

_PROGRAMS = Path(__file__).parents[1] / "node"


def environment() -> dict[str, str]:
    """What a program for Node needs: its modules, installed if they are missing."""
    return {"PATH": os.environ["PATH"], "NODE_PATH": str(node.ensure_installed())}


@contextmanager
def running(
    program: str, wanted: Mapping[str, Any], *, inside: Sequence[str] = ()
) -> Iterator["subprocess.Popen[str]"]:
    """A program at work, which has read what is wanted of it; it is gone after the block.

    `inside` is a command that runs what follows it, such as that of another network.
    """
    with subprocess.Popen(
        [*inside, "node", str(_PROGRAMS / program)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            _hand_over(process.stdin, wanted)
            yield process
        finally:
            process.kill()


def _hand_over(standard_input: IO[str] | None, wanted: Mapping[str, Any]) -> None:
    assert standard_input is not None
    with standard_input as text:
        text.write(json.dumps(wanted))


def run(program: str, wanted: Mapping[str, Any], *, within: float) -> tuple[int, str, str]:
    """Run a program to its end: its exit code, what it said, and what it complained of."""
    with running(program, wanted) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said, complained = process.stdout.read(), process.stderr.read()
        return process.wait(within), said, complained


def told(program: str, wanted: Mapping[str, Any], *, within: float) -> Any:
    """What a program that ends well has said, as JSON."""
    code, said, complained = run(program, wanted, within=within)
    assert (0, "") == (code, complained)
    return json.loads(said)
