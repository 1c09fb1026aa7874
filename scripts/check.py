"""`make check`: runs every check, also after a failure, and names those that failed at the end."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.progress import say

_ROOT = Path(__file__).resolve().parent.parent
_BIN = Path(sys.executable).parent  # of the virtual environment, which has the tools
COMMANDS = (
    "ruff check",
    "ruff format --check",
    "mypy",
    "lint-imports",
    "scripts/check-stubs",
    "scripts/check-dashboards",
    "python -m scripts.reference --check",
)


def main() -> int:
    """Run all checks. Return the exit code."""
    failed = [command for command in COMMANDS if not _passes(command)]
    if failed:
        print(f"make check: {', '.join(failed)} failed", file=sys.stderr)
        print("`make fix` corrects format, simple lint and generated files", file=sys.stderr)
    return bool(failed)


def _passes(command: str) -> bool:
    say(command)
    begun = time.monotonic()
    ending = _ending(shlex.split(command))
    say(f"{command}: {ending or 'passed'}, {time.monotonic() - begun:.1f} s")
    return not ending


def _ending(command: Sequence[str]) -> str:
    """The error of a command, or "" if it succeeds."""
    environment = os.environ | {"PATH": f"{_BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        code = subprocess.run(command, cwd=_ROOT, env=environment, check=False).returncode
    except OSError as error:
        return str(error)
    return f"exit code {code}" if code else ""


if __name__ == "__main__":
    sys.exit(main())
