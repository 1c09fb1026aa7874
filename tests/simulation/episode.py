"""Plays an episode, step by step, until it is over or something is wrong."""

import asyncio
import gc
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulation import invariants
from tests.simulation.replaced import replaced
from tests.simulation.stage import Stage
from tests.simulation.steps import Episode, Later, Quiet, Step
from tests.simulation.virtual import VirtualLoop, run

# Seconds. A lost event is made good within 32; a removal that has failed is tried again after 30.
_REST, _LONGEST_REST = 45, 120
_UNPAUSED = 40
# Looks in a row at which nothing is wrong: at one moment, all may be well by chance.
_LOOKS = 2


@dataclass
class Result:
    """The result of an episode; `step` is where something was wrong."""

    wrong: list[str] = field(default_factory=list)
    step: int = 0
    digest: str = ""
    said: Sequence[str] = ()
    counts: Counter[str] = field(default_factory=Counter)
    longest_answer: float = 0.0
    seconds: float = 0.0  # of virtual time
    steps: int = 0

    @property
    def kind(self) -> str:
        """The kind of the failure."""
        return self.wrong[0].partition(":")[0] if self.wrong else ""


def play(episode: Episode) -> Result:
    """Play an episode. The same one has the same result each time."""
    result = Result()
    with replaced():
        try:
            run(episode.seed, lambda loop: _play(loop, episode, result))
        except Exception as error:  # noqa: BLE001 - whatever it is, the episode is told with it
            result.wrong.append(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
    return result


async def _play(loop: VirtualLoop, episode: Episode, result: Result) -> None:
    began = loop.time()
    stage = Stage(loop, episode)
    try:
        await _play_steps(stage, episode.steps, result)
    finally:
        witness = stage.witness
        result.wrong, result.said = list(witness.wrong), list(witness.said)
        result.digest, result.counts = witness.digest, witness.counts
        result.longest_answer = stage.clients.longest_answer
        result.seconds = loop.time() - began
    await _clear(stage)


async def _play_steps(stage: Stage, steps: Sequence[Step], result: Result) -> None:
    for number, step in enumerate(steps):
        result.step = number
        await _step(stage, step)
        result.steps += not isinstance(step.act, Quiet)
        if stage.witness.wrong:
            return
    await _end(stage)


async def _step(stage: Stage, step: Step) -> None:
    stage.do(step.act)
    if isinstance(step.act, Quiet):
        await _come_to_rest(stage)
    elif isinstance(step.act, Later):
        await asyncio.sleep(step.act.seconds)
    await asyncio.sleep(step.wait)
    _look(stage)


def _look(stage: Stage) -> None:
    stage.trouble.look(stage.life)
    stage.witness.wrong += invariants.wrong_after_a_step(stage)


async def _come_to_rest(stage: Stage) -> None:
    """Wait until nothing is wrong, at least for some time: problems may appear late."""
    while stage.work:
        await asyncio.wait(stage.work)
    wrong: list[str] = []
    clean = 0
    for second in range(_LONGEST_REST):
        await asyncio.sleep(1)
        _look(stage)
        if second == _UNPAUSED:
            _let_go_on(stage)
        if second == _REST:
            gc.collect()  # the event loop is told of failures that nobody has looked at
        if second >= _REST:
            wrong = list(invariants.wrong_at_rest(stage))
            clean = 0 if wrong else clean + 1
        if stage.witness.wrong or clean == _LOOKS:
            return
    stage.witness.wrong += wrong or ["not at rest: something comes and goes"]


def _let_go_on(stage: Stage) -> None:
    """Check that all pauses are known, and end them."""
    if stage.life is not None:
        stage.witness.wrong += invariants.pauses_unnoticed(stage)
    for container in stage.engine.host.live:
        if container.paused:
            stage.engine.host.pause(container.id, paused=False)


async def _clear(stage: Stage) -> None:
    """Stop all tasks, also after a failure."""
    for task in [*stage.work]:
        task.cancel()
    if stage.life is not None and not stage.life.dead:
        await stage.life.crash()


async def _end(stage: Stage) -> None:
    """Stop the supervisor, and give forgotten tasks the time to show up."""
    await stage.end()
    for _ in range(3):
        await asyncio.sleep(1)
    gc.collect()
    await asyncio.sleep(0)
