"""Remembers the jobs that have ended badly lately."""

import time
from collections import deque
from collections.abc import Mapping, Sequence

from service.access.clients import JobScope
from service.history.rows import record_of
from service.jobs.model import FAILED_OUTCOMES, Job, State
from service.state.registry import Registry

# How long a bad end counts as recent (seconds), and how many are remembered.
_LATELY, _MOST_ENDS = 900.0, 1000


class RecentEnds:
    """The jobs that have ended badly, the oldest first.

    The history cannot stand in for it: HISTORY_MOST may be 0, and the disk may be what is wrong.
    """

    def __init__(self, registry: Registry) -> None:
        self._ends: deque[tuple[float, Job]] = deque(maxlen=_MOST_ENDS)
        registry.subscribe(self._note)

    def by_name(self, scope: JobScope) -> Mapping[str, Sequence[Job]]:
        """Those of the last quarter of an hour."""
        since, found = time.monotonic() - _LATELY, dict[str, list[Job]]()
        for at, job in self._ends:
            if at >= since and scope.allows(job.name):
                found.setdefault(job.name, []).append(job)
        return found

    def _note(self, job: Job) -> None:
        if job.state is State.GONE and job.outcome in FAILED_OUTCOMES:
            self._ends.append((time.monotonic(), record_of(job)))
