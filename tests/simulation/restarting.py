"""Compares what is told of restarts with the policies. Each rule yields what is wrong."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.jobs.restart_policy import RestartPolicy, Restarts
from tests.simulation.catalog import POLICIES
from tests.simulation.excuses import Excuses
from tests.simulation.facts import Fact, Facts
from tests.simulation.life import Life
from tests.simulation.trouble import LINGERS, Trouble

# What is told is rounded (seconds).
_ROUNDED = 0.002
# For how long something may be the reason why a restart fails (seconds).
_LONGEST = 15.0


@dataclass(slots=True)
class _Count:
    """The restarts of a launch by its ends, counted anew and not as the supervisor does."""

    so_far: Restarts = field(default_factory=Restarts)
    counted: set[tuple[str, int]] = field(default_factory=set)  # containers, and which of its runs

    def add(self, fact: Fact, policy: RestartPolicy) -> None:
        """A run has ended that was not counted yet."""
        if (run := (fact.id, fact.starts)) in self.counted:
            return
        self.counted.add(run)
        in_window, began = self.so_far.in_window, self.so_far.window_began
        if not in_window or fact.ended_at - began > policy.window:
            in_window, began = 0, fact.ended_at
        long = fact.ended_at - fact.started_at > policy.most
        in_a_row = 0 if long else self.so_far.in_a_row
        self.so_far = Restarts(self.so_far.total + 1, in_window + 1, began, in_a_row + 1)

    def is_used_up(self, fact: Fact, policy: RestartPolicy) -> bool:
        """Whether a run has ended after which none may follow."""
        within = fact.ended_at - self.so_far.window_began <= policy.window
        return within and self.so_far.in_window >= policy.attempts


class Restarting:
    """Knows when a job may be started again, and how often."""

    def __init__(self, facts: Facts, trouble: Trouble, excuses: Excuses) -> None:
        self._facts = facts
        self._trouble = trouble
        self._excuses = excuses
        self._counts: defaultdict[str, _Count] = defaultdict(_Count)  # by launch id

    def wrong_with_back_off(
        self, life: Life, fact: Fact, told: Mapping[str, Any], now: float
    ) -> Iterator[str]:
        """A run has ended, and is said to be started again."""
        policy = POLICIES.get(fact.name)
        if policy is None or fact.launch_id in life.record.kills_under_way:
            yield f"a restart that must not be: {told}"
            return
        if told["exit_code"] in policy.final_exit_codes and told["outcome"] == "error":
            yield f"a restart that must not be: after a final exit code: {told}"
        was_sick = fact.was_sick or fact.touched_at is not None  # maybe before that
        if told.get("reason") == "unhealthy" and not (policy.unhealthy and was_sick):
            yield f"a restart that must not be: it was healthy: {told}"
        if told["attempt"] > policy.attempts:
            yield f"a restart that must not be: too often: {told}"
        yield from self._wrong_with_count(fact, policy, told)
        fact.waits = True
        life.record.due[fact.launch_id] = now + told["wait"] - _ROUNDED

    def _wrong_with_count(
        self, fact: Fact, policy: RestartPolicy, told: Mapping[str, Any]
    ) -> Iterator[str]:
        count = self._counts[fact.launch_id]
        count.add(fact, policy)
        longest = policy.most
        if self._is_exact(fact):
            expected = count.so_far
            longest = min(longest, policy.back_off * 2.0 ** (expected.in_a_row - 1))
            if (told["attempt"], told["restarts"]) != (expected.in_window, expected.total):
                yield f"restarts miscounted: {told}, and it is {expected}"
        if not 0 <= told["wait"] <= longest + _ROUNDED:
            yield f"a wait that must not be: {told}, and at most {longest}"

    def wrong_with_restart(self, life: Life, fact: Fact, now: float) -> Iterator[str]:
        """A successor runs."""
        due = life.record.due.pop(fact.launch_id, None)
        if due is not None and now < due:
            yield f"a restart too early: {due - now:.3f} s: {fact}"
        told, expected = fact.restarts, self._counts[fact.launch_id].so_far
        if self._is_exact(fact) and _numbers(told) != _numbers(expected):
            yield f"restarts miscounted: {told} in the labels, and it is {expected}: {fact}"
        self.let_go(fact)

    def let_go(self, fact: Fact) -> None:
        """No container of a launch waits for its successor any more."""
        for each in self._facts.of_launches([fact.launch_id]):
            self._facts.let_go(each)

    def wrong_with_failure(self, life: Life, fact: Fact, now: float) -> Iterator[str]:
        """A restart has failed."""
        life.record.refused.add(fact.launch_id)
        recent = now - _LONGEST
        broken = self._trouble.was_since(recent, fact.identifier) or fact.hand_at > recent
        if not broken and not self._excuses.may_fail_again(fact, now):
            yield f"a restart that failed, and nothing was broken: {fact}"

    def wrong_with_end(self, life: Life, fact: Fact, told: Mapping[str, Any]) -> Iterator[str]:
        """A job is over. There has to be a reason why it is not started again."""
        self.let_go(fact)
        policy = POLICIES.get(fact.name)
        if policy is None:
            return
        why = told.get("not_restarted", "")
        outcome, ended = told["outcome"], policy.on == "failure"
        fits = {
            "attempts": self._is_used_up(fact, policy),
            "exit_code": told["exit_code"] in policy.final_exit_codes,
            "success": outcome == "success" or (ended and outcome == "ended"),
            "refused": fact.launch_id in life.record.refused,
            "": outcome == "killed" or self._may_not_be_again(life, fact),
        }
        if not fits[why]:
            yield f"a job that was not started again: {told}, {self._counts[fact.launch_id]}"

    def _may_not_be_again(self, life: Life, fact: Fact) -> bool:
        """Whether a client or a third party is the reason, or a supervisor that was killed."""
        if fact.removed_by_hand or life.record.was_killed(fact.launch_id, fact.identifier):
            return True
        removed = fact.removed_at
        return removed is not None and self._trouble.was_since(removed - LINGERS, fact.identifier)

    def _is_used_up(self, fact: Fact, policy: RestartPolicy) -> bool:
        count = self._counts[fact.launch_id]
        return count.is_used_up(fact, policy) or not self._is_exact(fact)

    def _is_exact(self, fact: Fact) -> bool:
        """Whether no container was started again by hand, which labels do not tell."""
        return all(each.starts <= 1 for each in self._facts.of_launches([fact.launch_id]))


def _numbers(restarts: Restarts) -> tuple[int, int, int]:
    return restarts.total, restarts.in_window, restarts.in_a_row
