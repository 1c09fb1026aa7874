"""The answers that each request may get. Each rule yields what is wrong with one."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from service._generated.area_supervisor_pb2 import JobList
from tests.simulation.facts import Fact, Facts
from tests.simulation.life import Life
from tests.simulation.listener import KEY_SECONDS
from tests.simulation.plan import REACTION
from tests.simulation.spill import spills
from tests.simulation.steps import Kill, KillAll, Launch, ListAll, Mistake, Request, Wrong
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
# A launch may share the failure of one that was asked for so long before (seconds).
_SHARED = 100.0
_EVERYBODY = ""


@dataclass(slots=True)
class Asked:
    """A request, and the state in which it was made."""

    act: Request
    at: float
    life: Life
    knew_jobs: bool  # whether the supervisor knew by then what runs
    launches: Collection[str] = ()  # that a kill is about
    kills_since: float = 0.0  # since when these are being killed
    hung_up: bool = False
    task: "asyncio.Task[object] | None" = None


class Answers:
    """Checks answers against the facts, and against what clients and third parties have done."""

    def __init__(self, facts: Facts, trouble: Trouble) -> None:
        self._facts = facts
        self._trouble = trouble
        self._images_missing: dict[str, float] = {}  # identifiers launched without an image, when
        self._strangers: dict[str, float] = {}  # identifiers whose name strangers have, until when
        self._keys: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        self._kills: dict[str, float] = {}  # identifiers, and when a kill was asked for last
        self._unrunnable_until = 0.0
        self._claimed: set[str] = set()  # containers that a launch was answered for

    def note_asked(self, asked: Asked) -> None:
        """A request is made."""
        match asked.act:
            case Launch(name, identifier, key=key):
                if name == "missing":
                    self._images_missing[identifier] = asked.at
                if key:
                    self._keys[key].add((name, identifier))
            case Kill(identifier):
                self._kills[identifier] = asked.at
            case KillAll():
                self._kills[_EVERYBODY] = asked.at

    def note_stranger(self, identifier: str, until: float) -> None:
        """Somebody else has a name until then."""
        self._strangers[identifier] = until

    def note_unrunnable(self, until: float) -> None:
        """No job can be run until then."""
        self._unrunnable_until = max(self._unrunnable_until, until)

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
                may_be = answer not in allowed and self._may_be(asked, asked.act, answer)
                return allowed | ({answer} if may_be else set())
            case Kill() | KillAll():
                return {"OK"} | (_BROKEN if broken or self._was_touched(asked) else set())

    def _may_be(  # noqa: PLR0911 - a case, a return
        self, asked: Asked, act: Launch, answer: str
    ) -> bool:
        """Whether a launch may fail like this although nothing is broken."""
        identifier, recent = act.identifier, asked.at - STALE
        match answer:
            case "400":
                return act.key != "" and len(self._keys[act.key]) > 1
            case "409":
                held = self._strangers.get(identifier, 0.0) > recent
                return held or any(
                    _has_name(fact, identifier, recent) for fact in self._facts.all()
                )
            case "422":
                return self._images_missing.get(identifier, 0.0) > asked.at - _SHARED
            case "429":
                return asked.life.tight
            case "499":
                killed = max(self._kills.get(each, 0.0) for each in (identifier, _EVERYBODY))
                return asked.life.tight and killed > recent
            case "503":
                return asked.life.record.cordoned_until >= asked.at
            case "502":
                return self._unrunnable_until > recent or self._holder_was_touched(act, recent)
        return False

    def _holder_was_touched(self, act: Launch, since: float) -> bool:
        """Whether a third party has started the holder of the name before its removal."""
        return any(
            fact.was_touched_since(since)
            for fact in self._facts.all()
            if act.identifier in (fact.identifier, fact.named_as)
        )

    def _was_touched(self, asked: Asked) -> bool:
        """Whether a third party has started a container that was to be killed."""
        facts = self._facts.of_launches(asked.launches)
        return any(fact.was_touched_since(asked.at - STALE) for fact in facts)

    def _wrong_with_kill(self, asked: Asked, *, broken: bool) -> Iterator[str]:
        """A killed container may only run if a third party has started it, as far as is known.

        Or if its launch tried again, as its name was gone: a comparison ends what that has left.
        """
        since = asked.kills_since - (STALE if broken else 0.0)
        for fact in self._facts.of_launches(asked.launches):
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

    def _longest_error(self, asked: Asked, act: Launch, *, broken: bool) -> float:
        """For how long a job may count as running after its exit (seconds)."""
        facts = self._facts.of_identifier(act.identifier)
        touched = any(fact.was_touched_since(asked.at - STALE) for fact in facts)
        return _LONGEST_ERROR if broken else STALE if touched else _HEARD

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


def _has_name(fact: Fact, identifier: str, since: float) -> bool:
    """Whether a third party has given a container an identifier's name, and it was there since."""
    return fact.named_as == identifier and (fact.removed_at is None or fact.removed_at > since)


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
