"""Which identifiers have been killed and not launched since: nothing of them may run at rest."""

import threading
from collections import Counter
from collections.abc import Mapping


class Killed:
    """Told of requests by the threads that make them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._launches: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        self._unsure: set[str] = set()
        self._dead: set[str] = set()

    def __contains__(self, identifier: str) -> bool:
        with self._lock:
            return identifier in self._dead

    def launching(self, identifier: str) -> None:
        """A launch begins."""
        with self._lock:
            self._launches[identifier] += 1
            self._under_way[identifier] += 1
            self._dead.discard(identifier)

    def launched(self, identifier: str, *, sure: bool) -> None:
        """A launch is over; not `sure` if it may have an effect yet."""
        with self._lock:
            self._under_way[identifier] -= 1
            if not sure:
                self._unsure.add(identifier)

    def killing(self, *identifiers: str) -> Mapping[str, int]:
        """A kill begins: of all if none is named. What `killed` is to be told."""
        with self._lock:
            return {
                each: self._launches[each]
                for each in identifiers or tuple(self._launches)
                if not self._under_way[each] and each not in self._unsure
            }

    def killed(self, before: Mapping[str, int]) -> None:
        """A kill was a success."""
        with self._lock:
            self._dead |= {each for each, count in before.items() if self._launches[each] == count}

    def forget(self) -> None:
        """A supervisor was killed, and with it what it has yet to remove."""
        with self._lock:
            self._dead.clear()
            self._launches.update(dict.fromkeys(self._launches, 1))

    def begin_round(self) -> None:
        """At rest, no launch has an effect any more."""
        with self._lock:
            self._unsure.clear()
