"""The simulation's own parts: a check that cannot fail shows nothing."""

import asyncio
import json
import random
import secrets
import time
from collections.abc import Sequence
from itertools import islice

import pytest

from tests.simulation.mutants import MUTANTS, patched
from tests.simulation.plan import episodes
from tests.simulation.shrink import shrunk
from tests.simulation.steps import KillAll, Quiet, Step, from_json, to_json
from tests.simulation.virtual import Deadlock, VirtualLoop, run


def test_an_hour_takes_no_time() -> None:
    async def wait(loop: VirtualLoop) -> tuple[float, float, float]:
        moments = loop.time(), time.time(), time.monotonic()
        await asyncio.sleep(3600)
        after = loop.time(), time.time(), time.monotonic()
        one, other, third = (b - a for a, b in zip(moments, after, strict=True))
        return one, other, third

    began = time.perf_counter()
    assert (3600, 3600, 3600) == pytest.approx(run("1", wait))
    assert time.perf_counter() - began < 60


def test_chance_is_the_seeds() -> None:
    async def draw(_: VirtualLoop) -> tuple[float, str]:
        return random.random(), secrets.token_hex(4)

    before = random.getstate()
    assert run("1", draw) == run("1", draw) != run("2", draw)
    assert before == random.getstate()


def test_a_set_of_tasks_has_an_order() -> None:
    async def order(loop: VirtualLoop) -> list[str]:
        tasks = {loop.create_task(asyncio.sleep(0), name=str(n)) for n in range(50)}
        done, _ = await asyncio.wait(tasks)
        return [task.get_name() for task in done]

    assert run("1", order) == run("1", order)


def test_a_wait_for_nothing_is_an_error() -> None:
    async def wait(_: VirtualLoop) -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run("1", wait)


def test_a_seed_is_a_plan() -> None:
    assert list(islice(episodes(7), 3)) == list(islice(episodes(7), 3))
    assert next(episodes(7)) != next(episodes(8))


def test_a_plan_is_the_same_as_json() -> None:
    for episode in islice(episodes(7), 5):
        assert episode == from_json(json.loads(json.dumps(to_json(episode))))


@pytest.mark.parametrize("needed", [(3,), (0, 17), (2, 9, 19), (19,)])
def test_a_failure_keeps_the_steps_that_it_needs(needed: Sequence[int]) -> None:
    steps = [Step(KillAll() if n in needed else Quiet(), float(n)) for n in range(20)]

    def fails(fewer: Sequence[Step]) -> bool:
        return {float(n) for n in needed} <= {step.wait for step in fewer}

    assert list(needed) == [step.wait for step in shrunk(steps, fails, 1000)]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_of_the_code_as_it_is(name: str) -> None:
    """Where this fails, the code has changed: mend tests/simulation/mutants.py."""
    assert all(patched(patch) for patch in MUTANTS[name].patches)
