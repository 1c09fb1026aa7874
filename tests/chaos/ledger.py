"""When each container lived, and which of those that may not be two were two at a time: pure."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import combinations


@dataclass(slots=True)
class _Span:
    began: float
    ended: float = float("inf")


@dataclass(slots=True)
class _Container:
    identifier: str
    spans: list[_Span] = field(default_factory=list)

    @property
    def running(self) -> bool:
        return bool(self.spans) and self.spans[-1].ended == float("inf")


class Ledger:
    """Written from events and listings, each with its own time: they may come in any order."""

    def __init__(self) -> None:
        self._containers: dict[str, _Container] = {}

    def began(self, container_id: str, identifier: str, at: float) -> None:
        """It runs, since this moment at the latest."""
        container = self._containers.setdefault(container_id, _Container(identifier))
        if not container.running:
            container.spans.append(_Span(at))

    def ended(self, container_id: str, at: float) -> None:
        """It runs no more."""
        container = self._containers.get(container_id)
        if container is not None and container.running:
            container.spans[-1].ended = at

    def lost_sight(self, at: float) -> None:
        """Nobody can tell what runs after this moment."""
        for container_id in self._containers:
            self.ended(container_id, at)

    def forget(self) -> None:
        """Begin anew, with what runs."""
        self._containers = {k: c for k, c in self._containers.items() if c.running}

    def twins(self, excused: Collection[str]) -> Iterator[str]:
        """Containers of one identifier that ran at the same time, none of them excused."""
        families: defaultdict[str, list[tuple[str, _Container]]] = defaultdict(list)
        for container_id, container in self._containers.items():
            if container_id not in excused:
                families[container.identifier].append((container_id, container))
        for identifier, family in families.items():
            for (one, its), (other, others) in combinations(family, 2):
                seconds = sum(_overlap(a, b) for a in its.spans for b in others.spans)
                if seconds > 0:
                    told = f"{seconds:.3f} s" if seconds != float("inf") else "now"
                    yield f"{identifier}: {one[:12]} and {other[:12]} ran together ({told})"


def _overlap(one: _Span, other: _Span) -> float:
    return max(0.0, min(one.ended, other.ended) - max(one.began, other.began))
