"""What watches send: parts of a snapshot, and changes. Watches at the same place share a batch."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from service.access.clients import JobScope
from service.jobs.model import Job
from service.jobs.wanted import EVERY_JOB, Wanted
from service.state.changes import Journal
from service.state.registry import Registry

Encode = Callable[[Job], bytes]

# The limits of a message. Clients take 4 MiB, and a single job is far below that.
MOST_BYTES = 256 * 2**10
MOST_JOBS = 500  # looked at in one turn, so that it is a short one


class Selection:
    """The jobs that a watch follows. Two selections with the same `key` have the same jobs."""

    def __init__(self, wanted: Wanted, scope: JobScope) -> None:
        self._wanted, self._scope = wanted, scope
        patterns = None if scope.is_everything else scope.patterns
        text = repr((wanted, patterns)).encode(errors="replace")
        self.key = hashlib.sha256(text).hexdigest()[:16]
        self._everything = wanted == EVERY_JOB and scope.is_everything

    def includes(self, job: Job) -> bool:
        return self._everything or (self._wanted.fits(job) and self._scope.allows(job.name))


class Batch(NamedTuple):
    """Jobs of one message, encoded; and how many were looked at to find them."""

    jobs: Sequence[bytes]
    looked_at: int


def take(jobs: Iterable[Job], selection: Selection, encode: Encode) -> Batch:
    """As many jobs as fit into a message."""
    taken: list[bytes] = []
    size = looked_at = 0
    for job in islice(jobs, MOST_JOBS):
        looked_at += 1
        if selection.includes(job):
            taken.append(encoded := encode(job))
            size += len(encoded)
            if size >= MOST_BYTES:
                break
    return Batch(taken, looked_at)


class Batches:
    """All watches get the changes up to `end` before any watch gets later ones."""

    def __init__(self, journal: Journal, registry: Registry) -> None:
        self._journal, self._registry = journal, registry
        self.end = journal.last
        self._known: dict[tuple[str, int], Batch] = {}
        self._live: tuple[int, Sequence[Job]] | None = None

    def begin(self) -> None:
        """Let watches send all changes up to now."""
        self.end = self._journal.last
        self._known.clear()
        self._live = None

    def live(self) -> tuple[int, Sequence[Job]]:
        """The place of this moment, and the live jobs."""
        if self._live is None or self._live[0] != self._journal.last:
            self._live = self._journal.last, self._registry.jobs()
        return self._live

    def after(self, place: int, selection: Selection, encode: Encode) -> Batch:
        """The changes after a place, or a part of them; none if the selection leaves all out."""
        known = self._known.get((selection.key, place))
        if known is None:
            changes = islice(self._journal.after(place), self.end - place)
            known = take(changes, selection, encode)
            self._known[selection.key, place] = known
        return known
