"""Seeds that are the same each time; `make simulate` plays others, and longer."""

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.simulation.episode import play
from tests.simulation.plan import episodes

_ROOT = Path(__file__).parents[2]
_STEPS = 48_000  # about a minute


def simulate(directory: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`make simulate` in a process of its own, whose log and clocks are nobody else's."""
    path = os.environ | {"PYTHONPATH": str(_ROOT)} | environment
    command = [sys.executable, "-m", "tests.simulation"]
    return subprocess.run(
        command, cwd=directory, env=path, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", ["1", "2"])
def test_whatever_happens_in_whatever_order_no_invariant_is_violated(
    tmp_path: Path, seed: str
) -> None:
    ended = simulate(tmp_path, SEED=seed, STEPS=str(_STEPS))
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_same_episode_takes_the_same_course() -> None:
    (episode,) = islice(episodes(7), 1)
    one, other = play(episode), play(episode)
    assert (one.wrong, one.digest) == (other.wrong, other.digest)
    assert one.steps


@pytest.mark.timeout(300)
def test_the_same_seed_takes_the_same_course_in_every_process(tmp_path: Path) -> None:
    digests = {_digest(tmp_path, PYTHONHASHSEED=seed) for seed in ("1", "2", "random")}
    assert 1 == len(digests)
    assert digests != {_digest(tmp_path, PYTHONHASHSEED="1", SEED="2")}


def _digest(directory: Path, **environment: str) -> str:
    ended = simulate(directory, **{"SEED": "1", "STEPS": "1000"} | environment)
    (line,) = [line for line in ended.stdout.splitlines() if "digest" in line]
    return line


@pytest.mark.timeout(300)
def test_a_failure_is_made_smaller_and_can_be_replayed(tmp_path: Path) -> None:
    mutant = {"MUTANT": "a launch request is not validated"}
    found = simulate(tmp_path, SEED="1", **mutant)
    assert found.returncode == 1, found.stdout + found.stderr
    (failure,) = (tmp_path / ".cache" / "simulation").iterdir()
    assert f"make simulate REPLAY={failure.relative_to(tmp_path)}" in found.stdout
    steps = json.loads(failure.read_text())["steps"]
    assert ["Mistake"] == [step["do"] for step in steps]
    assert simulate(tmp_path, REPLAY=str(failure), **mutant).returncode == 1
    assert simulate(tmp_path, REPLAY=str(failure)).returncode == 0
