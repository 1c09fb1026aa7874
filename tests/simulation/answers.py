"""The answers that each request may get. Each rule yields what is wrong with one."""

import asyncio
from collections.abc import Iterator

from service._generated.area_supervisor_pb2 import JobList
from tests.simulation.asked import Asked
from tests.simulation.catalog import READY
from tests.simulation.excuses import Excuses
from tests.simulation.facts import Fact, Facts
from tests.simulation.life import Life
from tests.simulation.listener import KEY_SECONDS
from tests.simulation.plan import REACTION
from tests.simulation.spill import spills
from tests.simulation.steps import Kill, KillAll, Launch, ListAll, Mistake, Wrong
from tests.simulation.trouble import STALE, Trouble
from tests.simulation.wire import Aborted

_MISTAKES: dict[Wrong, str] = {
    "blank": "400",
    "nul": "400",
    "reserved": "400",
    "unknown": "404",
    "large": "413",
    "blank key": "400",
}
_AWAY = {"503", "504"}  # the Engine, or the supervisor itself
# What only happens where something is broken: a name that is not freed for long is a 409.
_BROKEN = {"409", "502", *_AWAY}
# For so long (seconds) a job may be taken for running after its end; where something is broken.
_HEARD, _LONGEST_ERROR = 0.25, 75.0


class Answers:
    """Checks answers against the facts, and against what clients and third parties have done."""

    def __init__(self, facts: Facts, trouble: Trouble, excuses: Excuses) -> None:
        self._facts = facts
        self._trouble = trouble
        self._excuses = excuses
        self._claimed: set[str] = set()  # containers that a launch was answered for

    def wrong_with(self, asked: Asked, answer: str) -> Iterator[str]:
        """What is wrong with an answer."""
        if answer == "CANCELLED":
            if not asked.hung_up and asked.life.listening:
                yield f"an answer that must not be: {asked.act} was cancelled, and is waited for"
            return
        broken = self._is_broken(asked)
        if answer not in self._allowed(asked, answer, broken=broken):
            yield f"an answer that must not be: {asked.act} was answered {answer}"
        if answer == "OK":
            match asked.act:
                case Kill() | KillAll():
                    yield from self._wrong_with_kill(asked, broken=broken)
                case Launch():
                    yield from self._wrong_with_launch(asked, asked.act, broken=broken)

    def _is_broken(self, asked: Asked) -> bool:
        """Whether something that concerns a request was broken while it was under way."""
        since = asked.at - STALE
        match asked.act:
            case Launch(identifier=identifier) | Kill(identifier=identifier):
                return self._trouble.was_since(since, identifier)
            case _:
                return self._trouble.anything_since(since)

    def _allowed(self, asked: Asked, answer: str, *, broken: bool) -> set[str]:
        match asked.act:
            case Mistake(what):
                return {_MISTAKES[what]}
            case ListAll():
                return {"OK"} if asked.knew_jobs else {"OK", "UNAVAILABLE"}
            case Launch():
                allowed = {"OK"} | (_BROKEN if broken else set())
                may_be = answer not in allowed and self._excuses.may_be(
                    asked, asked.act, answer, broken=broken
                )
                return allowed | ({answer} if may_be else set())
            case Kill() | KillAll():
                return {"OK"} | (_BROKEN if broken or self._was_touched(asked) else set())

    def _was_touched(self, asked: Asked) -> bool:
        """Whether a third party has started a container that was to be killed."""
        facts = self._facts.of_launches(asked.launches)
        return any(fact.was_touched_since(asked.at - STALE) for fact in facts)

    def _wrong_with_kill(self, asked: Asked, *, broken: bool) -> Iterator[str]:
        """A killed container may only run if a third party has started it, as far as is known.

        Or if its launch tried again, as its name was gone: a comparison ends what that has left.
        """
        since = asked.kills_since - (STALE if broken else 0.0)
        found = asked.life.record.found
        launches = {*asked.launches, *(found.get(each, each) for each in asked.launches)}
        for fact in self._facts.of_launches(launches):
            may_run = fact.was_touched_since(since) or fact.launch_id in self._facts.abandoned
            if fact.live and not may_run and not (broken and fact.misnamed):
                yield f"a kill that was answered too early: {fact.identifier} {fact.id[:6]} runs"

    def _wrong_with_launch(self, asked: Asked, act: Launch, *, broken: bool) -> Iterator[str]:
        """A successful launch has started a container, or its job runs or has run."""
        if act.name == "nothing":
            return
        if act.name == REACTION:
            found = self._has_run(act.key, asked) if act.key else self._claim(asked, act)
        else:
            since = asked.at - self._longest_error(asked, act, broken=broken)
            found = self._facts.last_alive(act.identifier) >= since
            found = found or self._has_run(act.key, asked)
        if not found:
            yield f"a launch without a container: {act}"
        if self._is_too_early(asked, act):
            yield f"a launch that was answered too early: {act}, and it was never healthy"

    def _is_too_early(self, asked: Asked, act: Launch) -> bool:
        """Whether all that it can have been answered for still have to become healthy."""
        seen = [
            fact
            for fact in self._facts.of_identifier(act.identifier)
            if fact.live or max(fact.ended_at, fact.let_go_at) >= asked.at - _HEARD
        ]
        by_key = self._facts.of_key(act.key) if act.key else ()
        if any(fact not in seen for fact in by_key):  # it may be the answer to an earlier launch
            return False
        return bool(seen) and all(self._has_to_be_healthy(fact, asked.life) for fact in seen)

    def _has_to_be_healthy(self, fact: Fact, life: Life) -> bool:
        """Whether a life has launched it, nobody has touched it, and it runs."""
        launch = list(self._facts.of_launches([fact.launch_id]))
        ours = any(life.record.jobs.get(each.id) == 0.0 for each in launch)
        healthy = any(each.healthy_at for each in launch)
        untouched = all(each.touched_at is None for each in launch)
        return fact.name in READY and fact.live and ours and untouched and not healthy

    def _longest_error(self, asked: Asked, act: Launch, *, broken: bool) -> float:
        """For how long a job may count as running after its exit (seconds).

        That a job is not to be started again is known after a look, which may be slow.
        """
        since, facts = asked.at - STALE, list(self._facts.of_identifier(act.identifier))
        doubtful = any(f.was_touched_since(since) or f.let_go_at > since for f in facts)
        return _LONGEST_ERROR if broken else STALE if doubtful else _HEARD

    def _claim(self, asked: Asked, act: Launch) -> bool:
        """Whether a container was started since, and for no other launch."""
        for fact in self._facts.of_identifier(act.identifier):
            new = fact.created_at >= asked.at and fact.starts and not fact.key
            if new and fact.id not in self._claimed:
                self._claimed.add(fact.id)
                return True
        return False

    def _has_run(self, key: str, asked: Asked) -> bool:
        """Whether a launch with this key has happened, and the key is kept."""
        since = asked.at - KEY_SECONDS - _LONGEST_ERROR
        return key != "" and any(
            fact.starts and (fact.live or max(fact.ended_at, asked.life.began) > since)
            for fact in self._facts.of_key(key)
        )


def answer_of(task: "asyncio.Task[object]") -> str:
    """The answer to a request, in a word."""
    if task.cancelled():
        return "CANCELLED"
    error = task.exception()
    if isinstance(error, Aborted):
        return "UNAVAILABLE"
    if error is not None:
        return f"{type(error).__name__}: {error}"
    answer: object = task.result()
    if spills(answer):
        return f"a secret: {answer}"
    if isinstance(answer, JobList):
        return "OK"
    code: int = answer.error.code  # type: ignore[attr-defined]
    return str(code) if code else "OK"
