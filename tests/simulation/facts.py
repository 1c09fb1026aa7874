"""What has really happened to the containers, whatever the supervisor makes of it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from service.engine.base import Change, Event
from service.engine.fake_host import FakeHost
from service.workload import (
    IDENTIFIER_LABEL,
    INSTANCE_LABEL,
    KEY_LABEL,
    KIND_LABEL,
    LAUNCH_LABEL,
    NAME_LABEL,
)
from tests.simulation.engine import INSTANCE
from tests.simulation.witness import Witness


@dataclass(slots=True, kw_only=True)
class Fact:
    """One container of ours. Times are those of the event loop."""

    id: str
    name: str  # of its job
    identifier: str
    action: bool
    launch_id: str
    key: str
    created_at: float
    live: bool = False
    starts: int = 0
    started_at: float = 0.0
    ended_at: float = 0.0  # the last time
    codes: list[int] = field(default_factory=list)
    out_of_memory: bool = False
    touched_at: float | None = None  # when a third party started it again, the last time
    closed: int = 0  # times that its job was told to be over


class Facts:
    """Listens to the host itself, where no event gets lost."""

    def __init__(self, host: FakeHost, now: Callable[[], float], witness: Witness) -> None:
        self.abandoned: set[str] = set()  # launches that the supervisor has given up
        self._now = now
        self._witness = witness
        self._facts: dict[str, Fact] = {}
        self._by_identifier: defaultdict[str, list[Fact]] = defaultdict(list)
        self._by_launch: defaultdict[str, list[Fact]] = defaultdict(list)
        host.listeners.append(self._hear)

    def get(self, container_id: str | None) -> Fact | None:
        """What is known of a container of ours."""
        return self._facts.get(container_id or "")

    def of_identifier(self, identifier: str) -> Iterable[Fact]:
        """The containers of an identifier that have been there."""
        return self._by_identifier.get(identifier, ())

    def of_launches(self, launch_ids: Iterable[str]) -> Iterator[Fact]:
        """The containers of some launches that have been there."""
        for launch_id in launch_ids:
            yield from self._by_launch.get(launch_id, ())

    def last_alive(self, identifier: str) -> float:
        """When a container of an identifier ran last; now, where one does."""
        moments = [self._now() if f.live else f.ended_at for f in self.of_identifier(identifier)]
        return max(moments, default=0.0)

    def _hear(self, event: Event) -> None:
        if event.labels.get(INSTANCE_LABEL) != INSTANCE:
            return
        fact = self._facts.get(event.id) or self._new(event)
        self._witness.say(
            f"engine: {event.change} {fact.identifier} {fact.id[:6]} {event.exit_code}"
        )
        if event.change is Change.STARTED:
            self._start(fact)
        elif event.change is Change.EXITED:
            fact.live, fact.ended_at = False, self._now()
            fact.codes.append(event.exit_code or 0)
        elif event.change is Change.OUT_OF_MEMORY:
            fact.out_of_memory = True

    def _new(self, event: Event) -> Fact:
        labels = event.labels
        fact = Fact(
            id=event.id,
            name=labels[NAME_LABEL],
            identifier=labels[IDENTIFIER_LABEL],
            action=labels[KIND_LABEL] == "action",
            launch_id=labels[LAUNCH_LABEL],
            key=labels.get(KEY_LABEL, ""),
            created_at=self._now(),
        )
        self._facts[fact.id] = fact
        self._by_identifier[fact.identifier].append(fact)
        self._by_launch[fact.launch_id].append(fact)
        return fact

    def _start(self, fact: Fact) -> None:
        fact.live, fact.started_at = True, self._now()
        fact.starts += 1
        live = [f for f in self.of_identifier(fact.identifier) if f.live and f.action]
        untouched = [each for each in live if each.touched_at is None]
        if len(untouched) > 1:
            told = ", ".join(each.id[:6] for each in untouched)
            self._witness.wrong.append(
                f"two live containers of an action: {fact.identifier}: {told}"
            )
