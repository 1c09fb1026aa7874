"""What has really happened to the containers."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from service.engine.events import Change, Event
from service.engine.workloads import Status
from service.jobs.labels import (
    IDENTIFIER_LABEL,
    INSTANCE_LABEL,
    KEY_LABEL,
    KIND_LABEL,
    LAUNCH_LABEL,
    NAME_LABEL,
    restarts_in,
)
from service.jobs.restart_policy import NO_RESTARTS, Restarts
from tests.fake_engine.host import FakeHost
from tests.simulation.catalog import CATALOG
from tests.simulation.engine import INSTANCE
from tests.simulation.spill import spills
from tests.simulation.trouble import PUT_RIGHT, STALE, Trouble
from tests.simulation.witness import Witness

_SIGNALLED = 128  # and the number of the signal that a process has ended by: its exit code


class Signalled(NamedTuple):
    """A signal that a container got through the Engine; by a third party, or by a supervisor."""

    at: float
    number: int
    by_hand: bool


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
    launched_at: float = 0.0  # when its launch was over
    removed_at: float | None = None
    codes: list[int] = field(default_factory=list)
    out_of_memory: bool = False
    hand_at: float = 0.0  # when a third party did something with it, the last time
    touched_at: float | None = None  # when a third party started it, the last time
    signals: list[Signalled] = field(default_factory=list)
    named_as: str | None = None  # the identifier whose name a third party has given it
    misnamed: bool = False  # so that its name is in no launch's way
    closed: int = 0  # times that its job was told to be over
    retold: int = 0  # of these, those that may be told twice
    restarts: Restarts = NO_RESTARTS  # as its labels tell
    waits: bool = False  # its job is to be started again, also if somebody starts this meanwhile
    let_go_at: float = 0.0  # when that was over, the last time
    healthy_at: float | None = None  # when its last run became healthy for the first time
    sick_at: float | None = None  # when it was unhealthy again after that, the first time
    was_sick: bool = False  # since its start
    removed_by_hand: bool = False

    @property
    def ended_by_hand(self) -> int | None:
        """The signal by which a third party has ended it, the last time."""
        if self.live or not self.signals:
            return None
        last = self.signals[-1]
        has_ended = last.at == self.ended_at and self.codes[-1:] == [_SIGNALLED + last.number]
        return last.number if last.by_hand and has_ended else None

    def was_touched_since(self, moment: float) -> bool:
        """Whether a third party has started it since then."""
        return self.touched_at is not None and self.touched_at >= moment


class Facts:
    """Listens to the host, which loses no events."""

    def __init__(
        self, host: FakeHost, now: Callable[[], float], witness: Witness, trouble: Trouble
    ) -> None:
        self.abandoned: set[str] = set()  # launches that the supervisor has given up
        # When a supervisor was killed in development, the last time.
        self._crashed_in_development_at = -1.0
        self._host = host
        self._now = now
        self._witness = witness
        self._trouble = trouble
        self._facts: dict[str, Fact] = {}
        self._by_identifier: defaultdict[str, list[Fact]] = defaultdict(list)
        self._by_launch: defaultdict[str, list[Fact]] = defaultdict(list)
        self._by_key: defaultdict[str, list[Fact]] = defaultdict(list)
        host.listeners.append(self._hear)

    def get(self, container_id: str | None) -> Fact | None:
        """What is known of a container of ours."""
        return self._facts.get(container_id or "")

    def all(self) -> Iterable[Fact]:
        """Every container of ours that has been there."""
        return self._facts.values()

    def of_identifier(self, identifier: str) -> Iterable[Fact]:
        """The containers of an identifier that have been there."""
        return self._by_identifier.get(identifier, ())

    def of_key(self, key: str) -> Iterable[Fact]:
        """The containers that were launched with a key."""
        return self._by_key.get(key, ())

    def of_launches(self, launch_ids: Iterable[str]) -> Iterator[Fact]:
        """The containers of some launches that have been there."""
        for launch_id in launch_ids:
            yield from self._by_launch.get(launch_id, ())

    def last_alive(self, identifier: str) -> float:
        """When a job of an identifier ran or waited last, or was launched; now, where one does."""
        return max(map(self._last_alive, self.of_identifier(identifier)), default=0.0)

    def _last_alive(self, fact: Fact) -> float:
        if fact.live or fact.waits:
            return self._now()
        return max(fact.ended_at, fact.launched_at, fact.let_go_at)

    def let_go(self, fact: Fact) -> None:
        """It is not to be started again any more, or its successor is there."""
        if fact.waits:
            fact.waits, fact.let_go_at = False, self._now()

    def rivals(self) -> Iterator[tuple[str, float]]:
        """Identifiers with more than one live container, though actions; and since when."""
        live: defaultdict[str, list[Fact]] = defaultdict(list)
        for container in self._host.live:
            if (fact := self._facts.get(container.id)) and fact.action:
                live[fact.identifier].append(fact)
        for identifier, facts in live.items():
            if len(facts) > 1:
                yield identifier, max(fact.started_at for fact in facts)

    def note_crash_in_development(self) -> None:
        """A start that was under way may reach the engine later. Its name is not in the way."""
        self._crashed_in_development_at = self._now()

    def note_change_of_mode(self) -> None:
        """Names differ from now on, and exits of kept containers may be reported once more."""
        for container in self._host.containers:
            if fact := self._facts.get(container.id):
                fact.misnamed = True
                fact.retold += container.status is Status.EXITED

    def _hear(self, event: Event) -> None:
        if event.labels.get(INSTANCE_LABEL) != INSTANCE:
            return
        now, fact = self._now(), self._facts.get(event.id) or self._new(event)
        self._witness.say(
            f"engine: {event.change} {fact.identifier} {fact.id[:6]} {event.exit_code}"
        )
        match event.change:
            case Change.STARTED:
                self._start(fact)
            case Change.SIGNALLED:
                fact.signals.append(Signalled(now, event.signal or 0, by_hand=fact.hand_at == now))
            case Change.EXITED:
                fact.live, fact.ended_at = False, now
                fact.codes.append(event.exit_code or 0)
            case Change.OUT_OF_MEMORY:
                fact.out_of_memory = True
            case Change.HEALTHY:
                fact.healthy_at = fact.healthy_at or now
            case Change.UNHEALTHY:
                fact.was_sick = True
                if fact.healthy_at is not None:
                    fact.sick_at = fact.sick_at or now
            case Change.REMOVED:
                fact.removed_at = now
                self.let_go(fact)

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
            restarts=restarts_in(labels),
        )
        self._inherit_name(fact)
        self._facts[fact.id] = fact
        self._by_identifier[fact.identifier].append(fact)
        self._by_launch[fact.launch_id].append(fact)
        if fact.key:
            self._by_key[fact.key].append(fact)
        if spills(labels):
            self._witness.wrong.append(f"a secret in the labels: {labels}")
        if (entry := CATALOG.get(fact.name)) is None or entry.image is None:
            self._witness.wrong.append(f"a container that must not be: {fact}")
        return fact

    def _inherit_name(self, fact: Fact) -> None:
        """A successor has the name of the one before, also if a third party has given it that."""
        for before in self._by_launch.get(fact.launch_id, ()):
            if before.restarts.total < fact.restarts.total:
                fact.misnamed, fact.named_as = before.misnamed, before.named_as

    def _start(self, fact: Fact) -> None:
        fact.live, fact.started_at = True, self._now()
        fact.was_sick = False
        fact.healthy_at = fact.sick_at = None  # each run has to become healthy
        fact.starts += 1
        left_behind = fact.created_at <= self._crashed_in_development_at
        if not fact.action or fact.touched_at == fact.started_at or left_behind:
            return
        others = [f for f in self.of_identifier(fact.identifier) if f.live and f is not fact]
        if known := [each.id[:6] for each in others if not self._is_news(each)]:
            self._witness.wrong.append(
                f"two live containers of an action: {fact.identifier}: {fact.id[:6]}, {known}"
            )

    def _is_news(self, fact: Fact) -> bool:
        """Whether the supervisor may not know yet that this runs, or cannot see it by its name."""
        now, touched, identifier = self._now(), fact.touched_at, fact.identifier
        if touched is not None:
            broken = self._trouble.was_between(touched - STALE, touched + STALE, identifier)
            if now - touched < (PUT_RIGHT if broken else STALE):
                return True
        return fact.misnamed and self._trouble.was_since(now - PUT_RIGHT, identifier)
