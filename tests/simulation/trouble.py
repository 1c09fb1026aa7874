"""Whether something is broken: where nothing is, the supervisor has no excuse."""

from service.engine.fake_faults import Faults
from tests.simulation.life import Life
from tests.simulation.virtual import VirtualLoop

LINGERS = 3.0
"""How long the consequences of something that is over are no surprise (seconds)."""


class Trouble:
    """Keeps when something was broken the last time."""

    def __init__(self, loop: VirtualLoop, faults: Faults) -> None:
        self._seen = loop.time()
        self._loop = loop
        self._faults = faults
        self._until = 0.0
        self._faulty = False

    @property
    def last(self) -> float:
        """When something was broken the last time."""
        return max(self._seen, min(self._until, self._loop.time()))

    @property
    def calm(self) -> float:
        """For how long nothing has been broken (seconds)."""
        return self._loop.time() - self.last

    def lasts(self, seconds: float) -> None:
        """Something is broken from now on, for so long."""
        self._until = max(self._until, self._loop.time() + seconds + LINGERS)

    def waits(self) -> None:
        """A fault waits for the call that it is for."""
        self._faulty = True

    def look(self, life: Life | None) -> None:
        """Look how things are just now. To be called often."""
        ready = life is not None and life.core.readiness.ready
        if self._faulty or not ready:
            self._seen = self._loop.time()
        if self._faulty and not self._faults.pending:
            self._faulty = False
            self.lasts(0.0)
