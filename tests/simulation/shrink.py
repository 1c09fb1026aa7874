"""Makes a failing episode smaller: as few steps as show the same kind of failure.

Delta debugging (Zeller and Hildebrandt, 2002): leave out larger parts first, then smaller ones,
for as long as it still fails.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.simulation.episode import Result, play
from tests.simulation.steps import Episode, Step

_MOST_TRIES = 400


def smallest(episode: Episode, result: Result, tries: int = _MOST_TRIES) -> Episode:
    """The failing episode with as few steps as were found to be enough."""

    def fails(steps: Sequence[Step]) -> bool:
        return play(replace(episode, steps=steps)).kind == result.kind

    return replace(episode, steps=shrunk(episode.steps[: result.step + 1], fails, tries))


def shrunk(
    steps: Sequence[Step], fails: Callable[[Sequence[Step]], bool], tries: int
) -> Sequence[Step]:
    """The steps without those that a failure does not need."""
    size = len(steps) // 2
    while size and tries > 0:
        start, before = 0, len(steps)
        while start < len(steps) and tries > 0:
            fewer = [*steps[:start], *steps[start + size :]]
            tries -= 1
            if fails(fewer):
                steps = fewer
            else:
                start += size
        if len(steps) == before or size > 1:
            size //= 2
    return steps
