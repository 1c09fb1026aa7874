"""What will happen, and when: all of it follows from a seed, before anything has begun.

A step names what it strikes by a number between 0 and 1, since what is there at that moment is
known only then. So the same seed plays the same plan, on a machine of whatever speed.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tests.support.surroundings import Means
from tests.support.tap import Trouble

TURMOIL = 6.0
"""How long the turmoil of a round lasts (seconds)."""

# A reaction's identifiers are apart from an action's, as backends have it.
_ACTIONS = ("a", "b", "c", "d", "e/e", "f")
_REACTIONS = ("r-a", "r-b")
_ACTION_NAMES = (
    "timer", "narrow", "weather", "webhook", "far", "hardy", "limited", "moody",
)  # fmt: skip
_MISTAKES = ("missing", "unheard-of", "nothing")


@dataclass(frozen=True, slots=True)
class Launch:
    """A LaunchJob. Its client gives up after `deadline`, or hangs up after `hang_up` seconds."""

    name: str
    identifier: str
    params: Mapping[str, int] = field(default_factory=dict)
    deadline: float | None = None
    hang_up: float | None = None


@dataclass(frozen=True, slots=True)
class Kill:
    """A KillJob."""

    identifier: str


@dataclass(frozen=True, slots=True)
class KillAll:
    """A KillAllJobs."""


HandWork: TypeAlias = Literal["kill", "remove", "restart", "pause", "unpause", "start", "forget"]
EngineTrouble: TypeAlias = Literal["stop", "kill", "freeze", "odd"]
Signal: TypeAlias = Literal["SIGTERM", "SIGKILL"]
OnStart: TypeAlias = Literal["remove", "adopt"]
Mode: TypeAlias = Literal["production", "development"]
Log: TypeAlias = Literal["a pipe", "a full disk"]


@dataclass(frozen=True, slots=True)
class ByHand:
    """What a third party does with one of our containers, or with the image that is pulled."""

    what: HandWork
    choice: float


@dataclass(frozen=True, slots=True)
class EngineFault:
    """The Engine goes away, hangs, or answers oddly, for so long."""

    what: EngineTrouble
    seconds: float


@dataclass(frozen=True, slots=True)
class Restart:
    """The supervisor ends by a signal, and starts again a little later."""

    signal: Signal
    seconds: float
    life: "Life"


@dataclass(frozen=True, slots=True)
class Life:
    """How a supervisor is started; a poor one may have 32 threads and 128 open files."""

    on_start: OnStart
    mode: Mode
    log: Log
    poor: bool


@dataclass(frozen=True, slots=True)
class LogFault:
    """Whoever reads the log sleeps, or has gone, for so long."""

    what: Trouble
    seconds: float


@dataclass(frozen=True, slots=True)
class Shortage:
    """The supervisor gets nothing of a kind, on top of what it has, for so long."""

    of: Means
    seconds: float


Act: TypeAlias = Launch | Kill | KillAll | ByHand | EngineFault | Restart | LogFault | Shortage


@dataclass(frozen=True, slots=True)
class Step:
    """An act, and the second of its round in which it comes."""

    at: float
    act: Act


@dataclass(frozen=True, slots=True)
class Round:
    """A turmoil. In a gentle one nothing happens that may end a job that nobody has touched."""

    number: int
    gentle: bool
    live_restore: bool
    steps: tuple[Step, ...]


def first_life(seed: int) -> Life:
    """How the first supervisor starts."""
    return _life(random.Random(f"{seed}/life"), gentle=False)


def rounds(seed: int) -> Iterator[Round]:
    """Every round of a seed; each is the same however many there are before it."""
    number = 0
    while True:
        yield _round(random.Random(f"{seed}/{number}"), number)
        number += 1


def _round(chance: random.Random, number: int) -> Round:
    gentle, live_restore = chance.random() < 0.4, chance.random() < 0.4
    faults: list[Act] = [
        _engine_fault(chance, deadly=live_restore or not gentle)
        for _ in range(max(0, chance.randint(-1, 2)))
    ]
    faults += [_restart(chance, gentle=gentle) for _ in range(chance.randint(0, 1))]
    faults += [_surroundings_fault(chance) for _ in range(chance.randint(0, 2))]
    others: list[Act] = [_request(chance, gentle=gentle) for _ in range(chance.randint(15, 60))]
    others += [_by_hand(chance) for _ in range(chance.randint(0, 15))]
    steps = [Step(chance.uniform(0, TURMOIL), fault) for fault in faults]
    moments = [step.at for step in steps]
    steps += [Step(_moment(chance, moments), act) for act in others]
    return Round(number, gentle, live_restore, tuple(sorted(steps, key=lambda step: step.at)))


def _moment(chance: random.Random, faults: list[float]) -> float:
    """Half of all comes about when something breaks: that is where the races are."""
    if faults and chance.random() < 0.5:
        return min(max(0.0, chance.gauss(chance.choice(faults), 0.3)), TURMOIL)
    return chance.uniform(0, TURMOIL)


def _request(chance: random.Random, *, gentle: bool) -> Act:
    fate = chance.random()
    if fate < 0.2:
        return Kill(chance.choice(_ACTIONS + _REACTIONS))
    if fate < 0.24 and not gentle:
        return KillAll()
    if fate < 0.28:
        return Launch(chance.choice(_MISTAKES), chance.choice(_ACTIONS))
    return _launch(chance)


def _launch(chance: random.Random) -> Launch:
    if chance.random() < 0.25:
        name, identifier = "mail", chance.choice(_REACTIONS)
    else:
        name, identifier = chance.choice(_ACTION_NAMES), chance.choice(_ACTIONS)
    return Launch(
        name,
        identifier,
        _params(chance),
        deadline=chance.uniform(0.02, 0.8) if chance.random() < 0.1 else None,
        hang_up=chance.uniform(0, 0.3) if chance.random() < 0.1 else None,
    )


def _params(chance: random.Random) -> dict[str, int]:
    """Most run on, some end by themselves, at once or later; few are stubborn."""
    fate = chance.random()
    if fate < 0.15:
        return {"exit": chance.choice((0, 1))}
    if fate < 0.35:
        return {"after": chance.choice((1, 2)), "exit": chance.choice((0, 1))}
    return {"stubborn": 1} if fate < 0.4 else {}


def _by_hand(chance: random.Random) -> ByHand:
    kinds: dict[HandWork, int] = {
        "kill": 4, "remove": 4, "restart": 4, "pause": 3, "unpause": 2, "start": 2, "forget": 4,
    }  # fmt: skip
    (what,) = chance.choices(list(kinds), list(kinds.values()))
    return ByHand(what, chance.random())


def _engine_fault(chance: random.Random, *, deadly: bool) -> EngineFault:
    """A deadly one takes the containers along, but for a live-restore."""
    whats: tuple[EngineTrouble, ...] = ("freeze", "odd")
    if deadly:
        whats += ("stop", "kill")
    what = chance.choice(whats)
    return EngineFault(what, chance.uniform(0.1, 6.0 if what in ("freeze", "odd") else 2.0))


def _restart(chance: random.Random, *, gentle: bool) -> Restart:
    signals: tuple[Signal, ...] = ("SIGTERM", "SIGKILL")
    return Restart(chance.choice(signals), chance.uniform(0, 1), _life(chance, gentle=gentle))


def _life(chance: random.Random, *, gentle: bool) -> Life:
    starts: tuple[OnStart, ...] = ("adopt",) if gentle else ("remove", "adopt")
    modes: tuple[Mode, ...] = ("production", "production", "development")
    logs: tuple[Log, ...] = ("a pipe", "a pipe", "a pipe", "a full disk")
    return Life(
        chance.choice(starts), chance.choice(modes), chance.choice(logs), chance.random() < 0.5
    )


def _surroundings_fault(chance: random.Random) -> LogFault | Shortage:
    seconds = chance.uniform(0.1, 4.0)
    if chance.random() < 0.5:
        troubles: tuple[Trouble, ...] = ("sleeps", "goes")
        return LogFault(chance.choice(troubles), seconds)
    means: tuple[Means, ...] = ("threads", "files")
    return Shortage(chance.choice(means), seconds)
