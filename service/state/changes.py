"""The journal: the last changes of jobs in order, so that clients that were away can catch up."""

import secrets
from collections.abc import Callable, Iterator

from service.jobs.model import Job

# Also how far a slow watch may be behind, before it is ended.
KEPT = 10_000
# The place before the first change. There is no change 0, so a client with it has missed some.
BEGINNING = 1


class Journal:
    """Each change has a place: a number, one more than that of the change before.

    The numbers mean something only in this process, whose `epoch` no other one has.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.epoch = secrets.token_hex(8)
        self.last = BEGINNING
        self._kept = kept
        self._ring: list[Job] = []  # change N is at N modulo `kept`, once the ring is full
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call the listener after each change."""
        self._listeners.append(listener)

    def record(self, job: Job) -> None:
        """Note a change: the job as it is now."""
        self.last += 1
        if len(self._ring) < self._kept:
            self._ring.append(job)
        else:
            self._ring[self._index(self.last)] = job
        for listener in self._listeners:
            listener()

    def reaches_back_to(self, place: int) -> bool:
        """Whether every change after a place is still here."""
        return self.last - len(self._ring) <= place <= self.last

    def after(self, place: int) -> Iterator[Job]:
        """The changes after a place that it reaches back to, each with the job as it was then."""
        for number in range(place + 1, self.last + 1):
            yield self._ring[self._index(number)]

    def _index(self, number: int) -> int:
        return (number - BEGINNING - 1) % self._kept
