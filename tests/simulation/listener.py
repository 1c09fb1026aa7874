"""Compares the supervisor's log with the facts."""

import math
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from tests.simulation.ends import Ends
from tests.simulation.facts import Fact, Facts
from tests.simulation.life import Life
from tests.simulation.restarting import Restarting
from tests.simulation.spill import spills
from tests.simulation.trouble import STALE
from tests.simulation.virtual import OWNER

KEY_SECONDS = 600.0
"""How long a key stands for its launch after the end of that: README."""

_BAD_LEVELS = ("error", "exception", "critical")
_KILLS = ("kill", "kill_all")


class Listener:
    """Hears each event of each life."""

    def __init__(self, facts: Facts, ends: Ends, restarting: Restarting) -> None:
        self._facts = facts
        self._ends = ends
        self._restarting = restarting

    def wrong_with(
        self, life: Life, event: str, told: Mapping[str, Any], now: float
    ) -> Iterator[str]:
        """What is wrong with an event."""
        if spills(told):
            yield f"a secret in the log: {event} {told}"
        if told["level"] in _BAD_LEVELS:
            yield f"an error in the log: {event} {told}\n{traceback.format_exc()}"
        yield from self._wrong_with_event(life, event, told, now)

    def _wrong_with_event(
        self, life: Life, event: str, told: Mapping[str, Any], now: float
    ) -> Iterator[str]:
        record = life.record
        match event:
            case "job.exited":
                yield from self._ends.wrong_with(life, told, now)
            case "job.backing_off":
                yield from self._ends.wrong_with_run(life, told, now)
            case "job.restarted" | "restart.failed" | "job.not_ready":
                yield from self._wrong_with_policy(life, event, told, now)
            case "job.launched":
                record.begun[told["job"]] += 1
                yield from self._wrong_with_launch(life, told["container_id"], now)
            case "job.adopted":
                self._note_adopted(life, told["container_id"], now)
            case "launch.abandoned":
                self._facts.abandoned.add(told["launch_id"])
            case "request.failed" if told["operation"] in _KILLS:
                self._end_kills(life, told["identifier"])
            case "janitor.failed":
                failures, _ = record.removal_failures.get(told["container_id"], (0, 0.0))
                record.removal_failures[told["container_id"]] = failures + 1, now

    def _wrong_with_policy(
        self, life: Life, event: str, told: Mapping[str, Any], now: float
    ) -> Iterator[str]:
        record, fact = life.record, self._facts.get(told["container_id"])
        if fact is None:
            yield f"nothing that could be so: {event} {told}"
        elif event == "job.restarted":
            record.restarted[fact.name] += 1
            record.jobs.setdefault(fact.id, now)
            yield from self._restarting.wrong_with_restart(life, fact, now)
        elif event == "restart.failed":
            yield from self._restarting.wrong_with_failure(life, fact, now)
        else:
            record.not_ready.add(fact.launch_id)

    def _note_adopted(self, life: Life, container_id: str, now: float) -> None:
        life.record.jobs.setdefault(container_id, now)
        if fact := self._facts.get(container_id):
            self._restarting.let_go(fact)

    def _wrong_with_launch(self, life: Life, container_id: str, now: float) -> Iterator[str]:
        fact = self._facts.get(container_id)
        if fact is None or not fact.starts:
            yield f"a launch without a container: {fact or container_id}"
            return
        for other in self._facts.of_key(fact.key):
            kept = other.live or now - _known_end(other) < KEY_SECONDS
            if other is not fact and other.id in life.record.jobs and kept:
                yield f"a key that was launched twice: {fact.key}: {fact.id[:6]}, {other}"
        life.record.jobs[fact.id] = 0.0  # known from the first
        fact.launched_at = now

    @staticmethod
    def _end_kills(life: Life, identifier: str) -> None:
        """A kill has failed. Of several of an identifier, which one it was is not told."""
        under_way = life.record.kills_under_way
        for launch_id in [
            each for each, kill in under_way.items() if kill.identifier == identifier
        ]:
            del under_way[launch_id]


def _known_end(fact: Fact) -> float:
    """When its job exited; never, if a third party had just started it: that may go unnoticed."""
    unnoticed = fact.was_touched_since(fact.ended_at - STALE)
    return -math.inf if unnoticed else fact.ended_at


@contextmanager
def heard() -> Iterator[None]:
    """Pass each log event to the life whose code logs it, and write it nowhere."""
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
