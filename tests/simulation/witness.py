"""Records what has happened in an episode, in order, and what was wrong."""

import hashlib
from collections import Counter, deque
from collections.abc import Callable

_KEPT = 100


class Witness:
    """The digest of the run is made of these records."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()
        self.said: deque[str] = deque(maxlen=_KEPT)
        self._now = now
        self._digest = hashlib.sha256()

    def say(self, what: str) -> None:
        """Note what has happened."""
        line = f"{self._now():.6f} {what}"
        self.said.append(line)
        self._digest.update(line.encode())

    def count(self, what: str) -> None:
        """Add it to the figures."""
        self.counts[what] += 1

    @property
    def digest(self) -> str:
        """The same for two runs in which the same was said at the same moments."""
        return self._digest.hexdigest()
