"""Jobs that have ended and are in memory only: not written yet, or there is no file."""

import threading
import time
from collections.abc import Collection, Sequence
from itertools import islice
from typing import NamedTuple

from service.jobs.model import Job

Position = int
"""The place of a job in the history: microseconds since the epoch, and later ones are higher."""

MOST_IN_MEMORY = 10_000


def oldest_place(days: float) -> Position:
    """The place of a job that has ended so many days ago."""
    return int((time.time() - days * 86_400) * 1_000_000)


class Entry(NamedTuple):
    """A job that has ended, and its place."""

    position: Position
    job: Job


class Kept:
    """At most `most` entries, in the order of their places. Any thread may call this."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}  # by launch id
        self._last: Position = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, job: Job) -> int:
        """Keep a job. Return how many others had to go for it."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1000)
            self._entries.pop(job.launch_id, None)  # it has ended again, and is the newest now
            self._entries[job.launch_id] = Entry(self._last, job)
            return self._drop(len(self._entries) - self._most)

    def continue_after(self, position: Position) -> None:
        """Give places after this one from now on: the clock may have been set back."""
        with self._lock:
            self._last = max(self._last, position)

    def oldest(self, most: int) -> Sequence[Entry]:
        with self._lock:
            return list(islice(self._entries.values(), most))

    def newest_first(self) -> Sequence[Entry]:
        with self._lock:
            return list(reversed(self._entries.values()))

    def remove(self, entries: Collection[Entry]) -> None:
        """Forget entries, unless their job has ended again meanwhile."""
        with self._lock:
            for entry in entries:
                if self._entries.get(entry.job.launch_id) is entry:
                    del self._entries[entry.job.launch_id]

    def remove_until(self, position: Position) -> None:
        """Forget all entries before a place."""
        with self._lock:
            while self._entries and next(iter(self._entries.values())).position < position:
                self._drop(1)

    def _drop(self, number: int) -> int:
        for launch_id in list(islice(self._entries, max(0, number))):
            del self._entries[launch_id]
        return max(0, number)
