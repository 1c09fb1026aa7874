"""Which answers a request may get. Each rule says what is wrong with one, or nothing."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from service._generated.area_supervisor_pb2 import JobList
from tests.simulation.facts import Facts
from tests.simulation.life import Aborted, Life
from tests.simulation.steps import Kill, KillAll, Launch, ListAll, Mistake, Request, Wrong

# How old the supervisor's knowledge may be, where nothing delays it (seconds).
STALE = 2.0

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


@dataclass(slots=True)
class Asked:
    """A request, and what there was when it was made."""

    act: Request
    at: float
    life: Life
    launches: Collection[str] = ()  # that a kill is about
    task: "asyncio.Task[object] | None" = None


class Answers:
    """Remembers what makes some answers legitimate."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._images_missing: set[str] = set()  # identifiers that were launched without an image
        self._strangers: set[str] = set()  # identifiers whose name a stranger has had
        self._keys: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)

    def note_asked(self, act: Request) -> None:
        """A request is made."""
        if isinstance(act, Launch):
            if act.name == "missing":
                self._images_missing.add(act.identifier)
            if act.key:
                self._keys[act.key].add((act.name, act.identifier))

    def note_stranger(self, identifier: str) -> None:
        """Somebody else takes a name."""
        self._strangers.add(identifier)

    def wrong_with(self, asked: Asked, answer: str, *, calm_since: float) -> Iterator[str]:
        """What is wrong with an answer. A client that has gone gets none."""
        if answer == "CANCELLED":
            return
        if answer not in self._allowed(asked, broken=calm_since > asked.at - STALE):
            yield f"an answer that must not be: {asked.act} was answered {answer}"
        if answer == "OK" and isinstance(asked.act, Kill | KillAll):
            yield from self._wrong_with_kill(asked)
        if answer == "OK" and isinstance(asked.act, Launch) and calm_since < asked.at - STALE:
            yield from self._wrong_with_launch(asked, asked.act)

    def _allowed(self, asked: Asked, *, broken: bool) -> set[str]:
        match asked.act:
            case Mistake(what):
                return {_MISTAKES[what]}
            case ListAll():
                return {"OK", "UNAVAILABLE"}
            case Launch():
                return self._allowed_for(asked.act, asked.life) | (_BROKEN if broken else set())
            case Kill() | KillAll():
                return {"OK"} | (_BROKEN if broken or self._touched(asked) else set())

    def _allowed_for(self, act: Launch, life: Life) -> set[str]:
        reasons = {
            "422": act.identifier in self._images_missing,
            "409": act.identifier in self._strangers,
            "400": act.key != "" and len(self._keys[act.key]) > 1,
            "429": life.tight,
        }
        return {"OK"} | {code for code, may_be in reasons.items() if may_be}

    def _touched(self, asked: Asked) -> bool:
        """Whether a third party has started what was to be killed."""
        return any(f.touched_at is not None for f in self._facts.of_launches(asked.launches))

    def _wrong_with_kill(self, asked: Asked) -> Iterator[str]:
        for fact in self._facts.of_launches(asked.launches):
            touched = fact.touched_at is not None and fact.touched_at >= asked.at
            if fact.live and not touched and fact.launch_id not in self._facts.abandoned:
                yield f"a kill that was answered too early: {fact.identifier} {fact.id[:6]} runs"

    def _wrong_with_launch(self, asked: Asked, act: Launch) -> Iterator[str]:
        """A launch without a key that succeeds has found its job running, or has started it."""
        if act.key or act.name == "nothing":
            return
        if self._facts.last_alive(act.identifier) < asked.at - STALE:
            yield f"a launch without a container: {act.identifier}"


def answer_of(task: "asyncio.Task[object]") -> str:
    """What a request was answered with, in a word."""
    if task.cancelled():
        return "CANCELLED"
    error = task.exception()
    if isinstance(error, Aborted):
        return "UNAVAILABLE"
    if error is not None:
        return f"{type(error).__name__}: {error}"
    answer: object = task.result()
    if isinstance(answer, JobList):
        return "OK"
    code: int = answer.error.code  # type: ignore[attr-defined]
    return str(code) if code else "OK"
