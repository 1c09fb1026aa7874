"""What the supervisor's log says has to fit the facts."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from tests.simulation.engine import SimulatedEngine
from tests.simulation.facts import Fact, Facts
from tests.simulation.life import CATALOG, Life
from tests.simulation.trouble import LINGERS
from tests.simulation.virtual import OWNER

# How long a key stands for its launch after the end of that (seconds): README.
_KEY_SECONDS = 600.0
# How long it takes at most from an event to the look that it causes (seconds).
_HEARD = 0.05
# A launch may be killed while it waits for its earlier container, or for the Engine.
_BEFORE = 100.0
_OF_MEMORY = ("oom", "killed")
_BAD_LEVELS = ("error", "exception", "critical")


class Listener:
    """Hears each event of each life."""

    def __init__(self, facts: Facts, engine: SimulatedEngine) -> None:
        self.kills_asked: dict[str, float] = {}  # when an identifier's was, the last time
        self.all_killed_at = -_BEFORE
        self._facts = facts
        self._engine = engine

    def wrong_with(
        self, life: Life, event: str, told: Mapping[str, Any], *, now: float, calm: float
    ) -> Iterator[str]:
        """What is wrong with an event. `calm` is for how long nothing has been broken."""
        if told["level"] in _BAD_LEVELS:
            yield f"an error in the log: {event} {told}\n{traceback.format_exc()}"
        elif event == "job.exited":
            yield from self._wrong_with_end(life, told, now=now, calm=calm)
        elif event == "job.launched":
            yield from self._wrong_with_launch(life, told, now=now)
        elif event == "launch.abandoned":
            self._facts.abandoned.add(told["launch_id"])
        elif event == "janitor.failed":
            failures, _ = life.removal_failures.get(told["container_id"], (0, 0.0))
            life.removal_failures[told["container_id"]] = failures + 1, now

    def _wrong_with_launch(
        self, life: Life, told: Mapping[str, Any], *, now: float
    ) -> Iterator[str]:
        fact = self._facts.get(told["container_id"])
        if fact is None or not fact.key:
            return
        if now - life.launched_keys.get(fact.key, -_KEY_SECONDS) < _KEY_SECONDS:
            yield f"a key that was launched twice: {fact.key}"
        life.launched_keys[fact.key] = now

    def _wrong_with_end(
        self, life: Life, told: Mapping[str, Any], *, now: float, calm: float
    ) -> Iterator[str]:
        fact = self._facts.get(told["container_id"])
        if fact is None:
            yield f"an end of nothing: {told}"
            return
        fact.closed += 1
        if fact.closed > fact.starts:
            yield f"a job closed twice: {fact.identifier} {fact.id[:6]}"
        code, outcome = told["exit_code"], told["outcome"]
        if code is not None and code not in fact.codes:
            yield f"a wrong exit code: {code} and not of {fact.codes}"
        if not self._fits(fact, outcome, code):
            yield f"a wrong outcome: {outcome}, {code} of {fact}"
        found_live = fact.touched_at is not None  # nobody hears of an exit before it is a job again
        if outcome == "lost" and calm > now - fact.ended_at + LINGERS and not found_live:
            yield f"a wrong outcome: lost, and nothing was broken: {fact}"
        if self._out_of_memory_was_told(life, fact, now, calm) and outcome not in _OF_MEMORY:
            yield f"a wrong outcome: {outcome}, and the event had told of memory: {fact}"

    def _fits(self, fact: Fact, outcome: str, code: int | None) -> bool:
        entry = CATALOG.get(fact.name)
        assert entry is not None
        asked = max(self.kills_asked.get(fact.identifier, -_BEFORE), self.all_killed_at)
        return {
            "killed": asked >= fact.created_at - _BEFORE,
            "oom": fact.out_of_memory,
            "success": code == 0 and entry.ends_by_itself,
            "ended": code == 0 and not entry.ends_by_itself,
            "error": code not in (0, None),
            "lost": True,
        }[outcome]

    def _out_of_memory_was_told(self, life: Life, fact: Fact, now: float, calm: float) -> bool:
        """Early enough, to this life, and of the run that has ended; with no trouble since."""
        told = self._engine.out_of_memory_told.get(fact.id)
        if told is None or told < max(fact.ended_at, life.began, now - calm):
            return False
        removal = self._engine.removals_asked.get(fact.id)
        return told + _HEARD < (now if removal is None else removal.first)


@contextmanager
def heard() -> Iterator[None]:
    """Let each log event be heard by the life whose code logs it, and be written nowhere."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.configure(processors=[_hear])
    try:
        yield
    finally:
        if before is None:
            structlog.reset_defaults()
        else:
            structlog.configure(**before)


def _hear(_: WrappedLogger, level: str, told: EventDict) -> EventDict:
    life = OWNER.get()
    if isinstance(life, Life):
        event = told.pop("event")
        told.pop("logger_name", None)
        life.hear(event, {"level": level, **told})
    raise structlog.DropEvent
