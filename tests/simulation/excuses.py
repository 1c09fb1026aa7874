"""What a launch, or a restart, may fail at although nothing is broken."""

import math
from collections import defaultdict

from tests.simulation.asked import Asked
from tests.simulation.catalog import PULLED, READY
from tests.simulation.facts import Fact, Facts
from tests.simulation.record import EVERYBODY
from tests.simulation.steps import Kill, KillAll, Launch
from tests.simulation.trouble import STALE

# A launch may share the failure of one that was asked for so long before (seconds).
_SHARED = 100.0
# How long a launch takes at most while nothing is broken; it may share that of another (seconds).
_LONGEST = 15.0
# How long it takes until somebody looks at a job that has become healthy (seconds).
_HEARD = 0.25


class Excuses:
    """Remembers what clients and third parties have done that has this effect."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._images_missing: dict[str, float] = {}  # identifiers launched without an image, when
        self._images_pulled: dict[str, float] = {}  # those launched with one that is pulled
        self._strangers: dict[str, float] = {}  # identifiers whose name strangers have, until when
        self._keys: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        self._kills: dict[str, float] = {}  # identifiers, and when a kill was asked for last
        self._unrunnable_until = self._unpublished_until = self._forgotten_at = 0.0

    def note_asked(self, asked: Asked) -> None:
        """A request is made."""
        match asked.act:
            case Launch(name, identifier, key=key):
                if name == "missing":
                    self._images_missing[identifier] = asked.at
                if name in PULLED:
                    self._images_pulled[identifier] = asked.at
                if key:
                    self._keys[key].add((name, identifier))
            case Kill(identifier):
                self._kills[identifier] = asked.at
            case KillAll():
                self._kills[EVERYBODY] = asked.at

    def note_stranger(self, identifier: str, until: float) -> None:
        """Somebody else has a name until then."""
        self._strangers[identifier] = until

    def note_unrunnable(self, until: float) -> None:
        """No job can be run until then."""
        self._unrunnable_until = max(self._unrunnable_until, until)

    def note_unpublished(self, until: float) -> None:
        """The registry has no image until then."""
        self._unpublished_until = max(self._unpublished_until, until)

    def note_forgotten(self, at: float) -> None:
        """The Engine has lost an image."""
        self._forgotten_at = at

    def may_be(  # noqa: PLR0911 - a case, a return
        self, asked: Asked, act: Launch, answer: str, *, broken: bool
    ) -> bool:
        """Whether a launch may fail like this, although nothing is broken unless that is said."""
        identifier, recent = act.identifier, asked.at - STALE
        match answer:
            case "400":
                return act.key != "" and len(self._keys[act.key]) > 1
            case "409":
                return self._is_held(identifier, recent)
            case "422":
                return self._lacks_image(identifier, asked.at, broken=broken)
            case "429":
                return asked.life.tight
            case "499":
                killed = max(self._kills.get(each, 0.0) for each in (identifier, EVERYBODY))
                waits = asked.life.tight or self._is_pulled(identifier, asked.at)
                return waits and killed > recent
            case "503":
                return asked.life.record.cordoned_until >= asked.at
            case "502":
                may_fail = self._unrunnable_until > recent or self._is_unready(identifier, asked.at)
                return may_fail or self._holder_was_touched(identifier, recent)
        return False

    def may_fail_again(self, fact: Fact, now: float) -> bool:
        """Whether the restart of a container may fail although nothing is broken."""
        recent, identifier = now - _LONGEST, fact.identifier
        held = self._is_held(identifier, recent) or self._holder_was_touched(identifier, recent)
        return held or self._unrunnable_until > recent

    def _is_held(self, identifier: str, since: float) -> bool:
        if self._strangers.get(identifier, 0.0) > since:
            return True
        return any(_has_name(fact, identifier, since) for fact in self._facts.all())

    def _lacks_image(self, identifier: str, at: float, *, broken: bool) -> bool:
        """Whether there is no image. A launch of which a try has failed does not pull it."""
        if self._images_missing.get(identifier, 0.0) > at - _SHARED:
            return True
        gone = max(self._unpublished_until, self._forgotten_at) > at - _LONGEST
        return (gone or broken) and self._is_pulled(identifier, at)

    def _is_pulled(self, identifier: str, at: float) -> bool:
        return self._images_pulled.get(identifier, 0.0) > at - _SHARED

    def _is_unready(self, identifier: str, at: float) -> bool:
        """Whether a run of the identifier was never healthy, and a launch has to wait for that.

        Also one that a third party has begun, long after the launch.
        """
        return any(
            fact.name in READY and fact.started_at > at - _SHARED and _is_unready(fact)
            for fact in self._facts.of_identifier(identifier)
        )

    def _holder_was_touched(self, identifier: str, since: float) -> bool:
        """Whether a third party has started the holder of the name before its removal."""
        return any(
            fact.was_touched_since(since)
            for fact in self._facts.all()
            if identifier in (fact.identifier, fact.named_as)
        )


def _is_unready(fact: Fact) -> bool:
    """Whether it was never healthy, or no more when somebody looked: it was sick, or had ended."""
    if fact.healthy_at is None:
        return True
    over = [fact.sick_at] if fact.sick_at else []
    over += [] if fact.live else [fact.ended_at]
    return min(over, default=math.inf) - fact.healthy_at < _HEARD


def _has_name(fact: Fact, identifier: str, since: float) -> bool:
    """Whether a third party has given a container an identifier's name, and it was there since."""
    return fact.named_as == identifier and (fact.removed_at is None or fact.removed_at > since)
