"""What is broken, and until when. Otherwise the supervisor has no excuse."""

from collections import defaultdict
from dataclasses import dataclass

from tests.simulation.life import Life
from tests.simulation.virtual import VirtualLoop

# How old the supervisor's knowledge may be where nothing delays it (seconds).
STALE = 2.0
# How long the consequences of something that is over are no surprise (seconds).
LINGERS = 3.0
# A comparison finds within this time what no event has told (seconds).
COMPARED = 32.0
# Within this time it has also ended what must not run (seconds).
PUT_RIGHT = COMPARED + 8.0
# A call that takes so much longer is no trouble (seconds).
_A_MOMENT = 0.5
_EVERYBODY = ""


@dataclass(slots=True)
class _Spell:
    """Something is broken from one moment to another."""

    first: float
    last: float


class Trouble:
    """Keeps when something was broken, for everybody or for one identifier's containers."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.struck_at = 0.0  # when a fault has struck, the last time
        self._loop = loop
        self._spells: defaultdict[str, list[_Spell]] = defaultdict(list)

    def strikes(self, seconds: float) -> None:
        """A call meets a fault, or takes so much longer."""
        if not 0 < seconds <= _A_MOMENT:
            self.upsets(seconds)

    def upsets(self, seconds: float) -> None:
        """Something meets a trouble that takes so long."""
        self.struck_at = self._loop.time()
        self.lasts(seconds)

    def lasts(self, seconds: float, identifier: str = _EVERYBODY) -> None:
        """Something is broken from now on, for so long."""
        self._note(identifier, seconds + LINGERS)

    def look(self, life: Life | None) -> None:
        """Note whether the supervisor is unready. To be called often."""
        if life is None or not life.core.readiness.ready:
            self._note(_EVERYBODY, 0.0)

    def calm(self) -> float:
        """For how long nothing at all has been broken (seconds)."""
        return self._loop.time() - self._last_anywhere()

    def anything_since(self, moment: float) -> bool:
        """Whether anything at all has been broken since then."""
        return self._last_anywhere() > moment

    def was_since(self, moment: float, identifier: str = _EVERYBODY) -> bool:
        """Whether something has been broken since then."""
        return max(self._last(_EVERYBODY), self._last(identifier)) > moment

    def was_between(self, first: float, last: float, identifier: str) -> bool:
        """Whether something was broken between two moments."""
        spells = [*self._spells[_EVERYBODY], *self._spells[identifier]]
        return any(spell.first < last and spell.last > first for spell in spells)

    def _last_anywhere(self) -> float:
        return max(map(self._last, self._spells), default=0.0)

    def _last(self, identifier: str) -> float:
        """When it was broken the last time; now, where it still is."""
        spells = self._spells.get(identifier)
        return min(spells[-1].last, self._loop.time()) if spells else 0.0

    def _note(self, identifier: str, seconds: float) -> None:
        now, spells = self._loop.time(), self._spells[identifier]
        if spells and spells[-1].last >= now:
            spells[-1].last = max(spells[-1].last, now + seconds)
        else:
            spells.append(_Spell(now, now + seconds))
