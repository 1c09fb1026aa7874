"""The simulation's own parts: a check that cannot fail shows nothing."""

import asyncio
import json
import random
import secrets
import time
from collections.abc import Mapping, Sequence
from itertools import count, islice
from typing import Any

import pytest

from tests.simulation import invariants
from tests.simulation.engine import SimulatedEngine, error_of
from tests.simulation.episode import play
from tests.simulation.mutants import MUTANTS
from tests.simulation.mutating import patched
from tests.simulation.plan import episodes
from tests.simulation.shrink import shrunk
from tests.simulation.spill import AUTH, TRACER, spills
from tests.simulation.stage import Stage
from tests.simulation.steps import Episode, KillAll, Quiet, Step, from_json, to_json
from tests.simulation.trouble import LINGERS, Trouble
from tests.simulation.virtual import OWNER, Deadlock, VirtualLoop, run

_QUIET = Episode("7/quiet", development=False, adopt=False, steps=[Step(Quiet())])


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
    mutant = MUTANTS[name]
    assert all(patched(patch) for patch in mutant.patches)
    assert set(mutant.control) < set(mutant.patches)


def test_whatever_an_episode_raises_is_told_as_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(Stage, "do", fail)
    assert "KeyError" == play(_QUIET).kind


def test_rest_is_not_taken_for_that_by_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count()
    monkeypatch.setattr(
        invariants, "wrong_at_rest", lambda _: ["now and then"] if next(looks) % 2 else []
    )
    assert play(_QUIET).wrong


def test_a_trouble_is_over_some_time_after_its_end() -> None:
    async def suffer(loop: VirtualLoop) -> list[bool]:
        trouble = Trouble(loop)
        trouble.lasts(5)
        seen = []
        for wait in (4, 1 + LINGERS / 2, LINGERS):
            await asyncio.sleep(wait)
            seen.append(trouble.was_since(loop.time() - 0.1))
        return seen

    assert [True, True, False] == run("1", suffer)


def test_the_trouble_of_one_identifier_is_no_others() -> None:
    async def suffer(loop: VirtualLoop) -> tuple[bool, bool, bool]:
        trouble = Trouble(loop)
        trouble.lasts(5, "a")
        await asyncio.sleep(1)
        now = loop.time()
        return (
            trouble.was_since(now - 0.5, "a"),
            trouble.was_since(now - 0.5, "b"),
            trouble.anything_since(now - 0.5),
        )

    assert (True, False, True) == run("1", suffer)


def test_a_fault_is_no_trouble_before_it_strikes() -> None:
    async def wait(loop: VirtualLoop) -> list[float]:
        engine, strikes = SimulatedEngine(random.Random(1)), list[float]()
        engine.faults.on_strike = lambda _: strikes.append(loop.time())
        engine.faults.fail("names", error_of("refused"), times=2)
        for _ in range(3):
            await asyncio.sleep(10)
            await asyncio.gather(engine.names(), return_exceptions=True)
        return [strike - 1000 for strike in strikes]

    assert [10, 20] == pytest.approx(run("1", wait), abs=0.5)


def test_a_secret_in_a_span_is_seen() -> None:
    class Life:
        def __init__(self) -> None:
            self.heard: list[Mapping[str, Any]] = []

        def hear(self, _: str, told: Mapping[str, Any]) -> None:
            self.heard.append(told)

    life = Life()
    token = OWNER.set(life)
    try:
        with TRACER.start_as_current_span("clean"):
            pass
        assert [] == life.heard
        with TRACER.start_as_current_span("spilling") as span:
            span.set_attribute("auth", AUTH["token"])
    finally:
        OWNER.reset(token)
    assert [True] == [spills(told) for told in life.heard]
