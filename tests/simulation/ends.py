"""Compares `job.exited` events with the facts. Each rule yields what is wrong."""

import math
from collections.abc import Iterator, Mapping
from signal import SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH, Signals
from typing import Any

from tests.simulation.catalog import CATALOG
from tests.simulation.engine import SimulatedEngine
from tests.simulation.facts import Fact, Facts, Signalled
from tests.simulation.life import Life
from tests.simulation.restarting import Restarting
from tests.simulation.trouble import LINGERS, STALE, Trouble

# How long it takes at most from an event to the look that it causes (seconds).
_HEARD = 0.05
_OF_MEMORY = ("oom", "killed", "timed_out")
_ENDED_BY_US = ("killed", "timed_out")
_BY_ITSELF = ("success", "ended", "error")
# How long before an exit a signal may have been sent that has led to it (seconds).
_FRESH = 60.0
_HARMLESS = frozenset({SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH})
# The clocks of the container and of what ends it (seconds).
_EXACT = 0.1


class Ends:
    """Knows which outcomes and causes an exit may be reported with."""

    def __init__(
        self, facts: Facts, engine: SimulatedEngine, trouble: Trouble, restarting: Restarting
    ) -> None:
        self._facts = facts
        self._restarting = restarting
        self._engine = engine
        self._trouble = trouble

    def wrong_with(self, life: Life, told: Mapping[str, Any], now: float) -> Iterator[str]:
        """What is wrong with a `job.exited`."""
        fact = self._facts.get(told["container_id"])
        if fact is None:
            yield f"an end of nothing: {told}"
            return
        fact.closed += 1
        if fact.closed > fact.starts + fact.retold:
            yield f"a job closed twice: {fact.identifier} {fact.id[:6]}"
        yield from self._wrong_with_outcome(life, fact, told, now)
        yield from self._wrong_with_kill(life, fact, told["outcome"])
        yield from self._wrong_with_signal(life, fact, told)
        yield from self._restarting.wrong_with_end(life, fact, told)
        yield from _wrong_with_history(life, fact, told)
        life.record.kills_under_way.pop(fact.launch_id, None)
        life.record.jobs.setdefault(fact.id, now)

    def wrong_with_run(self, life: Life, told: Mapping[str, Any], now: float) -> Iterator[str]:
        """What is wrong with a `job.backing_off`."""
        fact = self._facts.get(told["container_id"])
        if fact is None:
            yield f"an end of nothing: {told}"
            return
        yield from self._wrong_with_outcome(life, fact, told, now)
        yield from self._restarting.wrong_with_back_off(life, fact, told, now)

    def _wrong_with_outcome(
        self, life: Life, fact: Fact, told: Mapping[str, Any], now: float
    ) -> Iterator[str]:
        code, outcome = told["exit_code"], told["outcome"]
        if code is not None and code not in fact.codes:
            yield f"a wrong exit code: {code} and not of {fact.codes}"
        if not _fits(life, fact, told) and not self._may_seem_over_its_time(fact, outcome):
            yield f"a wrong outcome: {outcome}, {code} of {fact}"
        if outcome not in _ENDED_BY_US and self._ran_out_of_time(fact):
            yield f"a wrong outcome: {outcome}, and its time was over: {fact}"
        if outcome == "lost" and self._was_in_order(fact) and not _is_retold(fact):
            yield f"a wrong outcome: lost, and nothing was broken: {fact}"
        if self._out_of_memory_was_told(life, fact, now) and outcome not in _OF_MEMORY:
            yield f"a wrong outcome: {outcome}, and the event had told of memory: {fact}"

    @staticmethod
    def _wrong_with_kill(life: Life, fact: Fact, outcome: str) -> Iterator[str]:
        """An exit during a kill is a kill, unless the supervisor did not know that the job ran."""
        asked = life.record.kills_under_way.get(fact.launch_id)
        if asked is None or outcome == "killed" or fact.was_touched_since(asked.at - STALE):
            return
        if fact.ended_at > asked.at:
            yield f"a wrong outcome: {outcome}, and its end was asked for: {fact}"

    def _wrong_with_signal(self, life: Life, fact: Fact, told: Mapping[str, Any]) -> Iterator[str]:
        by_others, name = told.get("by") == "others", told.get("signal")
        if name is not None and not by_others:
            yield f"a wrong cause: {name}, and not by others: {fact}"
        known = any(_is_cause(life, fact, each, name) for each in fact.signals)
        if by_others and not known and not self._was_told_late(fact, name):
            yield f"a wrong cause: nobody else has sent {name}: {fact}"
        number = None if told.get("reason") == "unhealthy" else fact.ended_by_hand
        if number is None or told["outcome"] not in _BY_ITSELF or not self._knew(life, fact):
            return
        if not by_others or name != Signals(number).name:
            yield f"a wrong cause: {name}, and others have sent {number}: {fact}"

    def _was_told_late(self, fact: Fact, name: str | None) -> bool:
        """Whether it is a signal from before a third party started it again, told late or twice.

        The event of a signal does not tell which run it was for.
        """
        began = fact.touched_at
        return began is not None and any(
            sent.at < began
            and Signals(sent.number).name == name
            and self._trouble.was_between(sent.at, sent.at + _HEARD, fact.identifier)
            for sent in fact.signals
        )

    def _knew(self, life: Life, fact: Fact) -> bool:
        """Whether a life must know of a signal and the exit that it has caused.

        After a kill, also one that has failed, the signals may be its own.
        """
        since = life.record.jobs.get(fact.id)
        ours = life.record.was_killed(fact.launch_id, fact.identifier)
        return since is not None and since < fact.ended_at and not ours and self._was_in_order(fact)

    def _was_in_order(self, fact: Fact) -> bool:
        """Whether nothing was broken since shortly before the exit, and nobody had just started it.

        Of what a third party starts, an exit may come before it is a job again.
        """
        broken = self._trouble.was_since(fact.ended_at - LINGERS, fact.identifier)
        return not broken and not fact.was_touched_since(fact.ended_at - STALE)

    def _ran_out_of_time(self, fact: Fact) -> bool:
        """Whether a supervisor has ended it after its time, and nothing has kept it unknown."""
        limit = CATALOG[fact.name].time_limit
        if limit is None or fact.touched_at is not None or not self._was_in_order(fact):
            return False
        due = fact.started_at + limit - _EXACT
        return any(not each.by_hand and each.at >= due for each in fact.signals)

    def _may_seem_over_its_time(self, fact: Fact, outcome: str) -> bool:
        """Whether its end may have been unknown when its time was over."""
        return outcome == "timed_out" and self._trouble.was_since(fact.ended_at, fact.identifier)

    def _out_of_memory_was_told(self, life: Life, fact: Fact, now: float) -> bool:
        """Whether an event about memory has reached this life in time, with no trouble since."""
        told = self._engine.out_of_memory_told.get(fact.id)
        if told is None or told < max(fact.ended_at, life.began):
            return False
        if self._trouble.was_since(told, fact.identifier):
            return False
        removal = self._engine.removals_asked.get(fact.id)
        return told + _HEARD < (now if removal is None else removal.first)


def _fits(life: Life, fact: Fact, told: Mapping[str, Any]) -> bool:
    entry, record, code = CATALOG[fact.name], life.record, told["exit_code"]
    killed = record.was_killed(fact.launch_id, fact.identifier)
    return {
        "killed": killed or fact.launch_id in record.not_ready,
        "timed_out": _is_over_its_time(fact),
        "oom": fact.out_of_memory,
        "success": code == 0 and entry.ends_by_itself,
        "ended": code == 0 and not entry.ends_by_itself,
        "error": code not in (0, None) or told.get("reason") == "unhealthy",
        "lost": True,
    }[told["outcome"]]


def _is_over_its_time(fact: Fact) -> bool:
    """Whether its last run has lasted as long as it may. It may be unknown that it began anew."""
    limit = CATALOG[fact.name].time_limit
    began = fact.started_at if fact.touched_at is None else fact.created_at
    return limit is not None and fact.ended_at - began >= limit - _EXACT


def _wrong_with_history(life: Life, fact: Fact, told: Mapping[str, Any]) -> Iterator[str]:
    """An end is in the history as it is told."""
    life.record.ended.add(fact.launch_id)
    kept = life.ended(fact.launch_id)
    if kept is None or kept.workload_id != fact.id:
        yield f"an end that is not in the history: {told}, {kept}"
    elif (kept.outcome, kept.exit_code) != (told["outcome"], told["exit_code"]):
        yield f"an end that is in the history otherwise: {told}, {kept}"


def _is_retold(fact: Fact) -> bool:
    """Whether the mode has changed since its exit, whose cause is unknown then."""
    return fact.retold > 0


def _is_cause(life: Life, fact: Fact, sent: Signalled, name: str | None) -> bool:
    """Whether a third party's signal may have ended a container."""
    ours = not sent.by_hand and sent.at >= life.record.kills.get(fact.launch_id, math.inf)
    fresh = fact.live or sent.at >= fact.ended_at - _FRESH - STALE
    named = name is None or Signals(sent.number).name == name
    return fresh and named and not ours and sent.number not in _HARMLESS
