"""The command line, as a person has it."""

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from service.cli.main import main

_OURS = "AREA_SUPERVISOR_"


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str


def run(*arguments: str, stdin: str = "", **environment: str) -> Ran:
    """Run a command in this process. Its standard streams are no terminal."""
    out, err = _Stream(), _Stream()
    with (
        _environment(environment),
        redirect_stdout(out),
        redirect_stderr(err),
        mock.patch("sys.argv", ["area-supervisor", *arguments]),
        mock.patch("sys.stdin", io.StringIO(stdin)),
        mock.patch("service.cli.main.set_up_process"),
    ):
        code = _exit_code()
    return Ran(code, out.getvalue(), err.getvalue())


class _Stream(io.StringIO):
    encoding = "utf-8"


def _exit_code() -> int:
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
            return 1
        return int(end.code or 0)
    return 0


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    """Without the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    with mock.patch.dict(os.environ, {"XDG_CONFIG_HOME": "/nowhere"} | kept | {**more}, clear=True):
        yield
