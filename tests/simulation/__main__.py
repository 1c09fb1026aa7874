"""`make simulate`: SEED and STEPS; EPISODE to begin with; or REPLAY=FILE, what a failure has left.

MUTANT=NAME breaks the code first, which has to be noticed, and with CONTROL=1 only a part of it
(tests/simulation/mutants.py).
"""

import gc
import json
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rich.console import Console

from tests.simulation.episode import Result, play
from tests.simulation.figures import Figures
from tests.simulation.mutants import mutate
from tests.simulation.plan import episodes
from tests.simulation.shrink import smallest
from tests.simulation.steps import Episode, from_json, to_json

_FAILURES = Path(".cache/simulation")


def main() -> int:
    """Play, and print the figures; 1 where something was wrong."""
    console = Console(soft_wrap=True)
    if mutant := os.environ.get("MUTANT"):
        mutate(mutant, control=bool(os.environ.get("CONTROL")))
    gc.collect()
    gc.freeze()  # each episode collects its own garbage, and looks at nothing else
    figures = Figures()
    failed = _play(figures, int(os.environ.get("STEPS") or 50_000))
    figures.show(console)
    if failed is not None:
        _explain(console, *failed, figures.steps)
    return 0 if failed is None else 1


def _play(figures: Figures, steps: int) -> tuple[Episode, Result] | None:
    """Play so many steps, the last episode to its end; the episode that has failed, if any."""
    for episode in _chosen():
        result = play(episode)
        figures.add(result)
        if result.wrong:
            return episode, result
        if figures.steps >= steps:
            break
    return None


def _chosen() -> Iterator[Episode]:
    if replay := os.environ.get("REPLAY"):
        return iter([from_json(json.loads(Path(replay).read_text()))])
    seed, first = int(os.environ.get("SEED") or 1), int(os.environ.get("EPISODE") or 0)
    return islice(episodes(seed), first, None)


def _explain(console: Console, episode: Episode, result: Result, steps: int) -> None:
    """Say what was wrong, and how to see it again with as few steps as possible."""
    console.out(f"Found after {steps} steps, in episode {episode.seed}", highlight=False)
    _tell(console, f"Episode {episode.seed}, step {result.step}", result)
    if os.environ.get("SHRINK") == "0":
        return
    console.print("Making it smaller …")
    small = smallest(episode, result)
    path = _keep(small)
    _tell(console, f"With {len(small.steps)} of {len(episode.steps)} steps", play(small))
    console.out(json.dumps(to_json(small) | {"steps": None}), highlight=False)
    for step in to_json(small)["steps"]:
        console.out(f"  {json.dumps(step)}", highlight=False)
    console.out(f"Again: make simulate REPLAY={path}", highlight=False)


def _tell(console: Console, title: str, result: Result) -> None:
    console.rule(title)
    for line in (*result.said, "", *result.wrong):
        console.out(line, highlight=False)


def _keep(episode: Episode) -> Path:
    _FAILURES.mkdir(parents=True, exist_ok=True)
    path = _FAILURES / f"{episode.seed.replace('/', '-')}.json"
    path.write_text(json.dumps(to_json(episode), indent=1))
    return path


if __name__ == "__main__":
    sys.exit(main())
