"""`make chaos`: DURATION (seconds), SEED, and ROUND to begin with, may be set."""

import os
import secrets
import shutil
import sys
from pathlib import Path

from rich.console import Console

from scripts.private_engine import ensure_installed
from tests.chaos.figures import show
from tests.chaos.play import Play, Violation
from tests.chaos.stage import a_stage

_LOGS = Path(".cache/chaos").absolute()


def main() -> int:
    """Play, and print the figures."""
    seed = int(os.environ.get("SEED") or secrets.randbelow(10**6))
    duration = float(os.environ.get("DURATION") or 90)
    first_round = int(os.environ.get("ROUND") or 0)
    console = Console()
    console.print(f"SEED={seed}, at least {duration:g} s; the same seed plays the same plan.")
    ensure_installed()
    shutil.rmtree(_LOGS, ignore_errors=True)
    _LOGS.mkdir(parents=True)
    with a_stage(_LOGS) as stage:
        play = Play(stage, seed)
        try:
            play.run(duration=duration, first_round=first_round)
        except Violation as violation:
            console.out(violation, highlight=False)
        finally:
            show(console, play.report)
    return 1 if play.report.violation else 0


if __name__ == "__main__":
    sys.exit(main())
