"""Turmoil, from seeds that are the same each time; `make chaos` plays others, and longer."""

from pathlib import Path

import pytest
from rich.console import Console

from scripts.private_engine import ensure_installed
from tests.chaos.figures import show
from tests.chaos.play import Play
from tests.chaos.stage import a_stage

_SECONDS_EACH = 30
SEEDS = (1, 2, 3)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_after_turmoil_everything_is_true_again(tmp_path: Path, seed: int) -> None:
    ensure_installed()
    with a_stage(tmp_path) as stage:
        play = Play(stage, seed)
        try:
            play.run(duration=_SECONDS_EACH)
        finally:
            show(Console(), play.report)
