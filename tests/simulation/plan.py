"""Episodes drawn from a seed, before anything has begun.

A step that strikes a container names it by a number between 0 and 1, since only then is known
what is there.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, get_args

from tests.fake_engine.faults import Operation
from tests.simulation.catalog import READY
from tests.simulation.engine import FAR
from tests.simulation.steps import (
    Absence,
    Act,
    Away,
    Cordon,
    Episode,
    Failure,
    Fault,
    Forget,
    Hand,
    HandWork,
    Kill,
    KillAll,
    Later,
    Launch,
    ListAll,
    Mistake,
    News,
    NewsTrouble,
    Obstacle,
    Odd,
    Quiet,
    Restart,
    Rival,
    Slow,
    Step,
    Stranger,
    Stuck,
    Unpublished,
    Unrunnable,
    Wrong,
)

T = TypeVar("T")

STEADY = ("steady-1", "steady-2")
"""The jobs of a gentle episode, which nothing may end."""

ACTIONS = ("a", "b", "c", "e/e")
REACTIONS = ("r-a", "r-b")
REACTION = "mail"
# Half of all actions are started again, have limits, or need something before they are there.
_NAMES = (
    *("timer",) * 4, *("weather", "webhook") * 2,
    "hardy", "careful", "limited", "checked", "moody", "far", "farther", "fresh",
)  # fmt: skip
_ROUNDS = 3
_STEPS_OF_A_ROUND = 120
_SHARE_OF_JUMPS = 0.08
# Seconds: an idempotency-key is forgotten ten minutes after the end of its job.
_JUMP = (300, 800)
_OPERATIONS: Sequence[Operation] = (
    "create", "create", "start", "start", "stop", "stop", "remove", "remove", "inspect", "inspect",
    "list", "list", "tail", "set aside", "names", "watch", "ping", "deep ping", "traits",
    "rename", "pull",
)  # fmt: skip


def episodes(seed: int) -> Iterator[Episode]:
    """Every episode of a seed; each is the same however many there are before it."""
    number = 0
    while True:
        yield _episode(f"{seed}/{number}")
        number += 1


def _episode(seed: str) -> Episode:
    chance = random.Random(seed)
    gentle = chance.random() < 0.2
    steps: list[Step] = []
    if gentle:
        steps += [Step(Launch("timer", each), 0.1) for each in STEADY]
    for number in range(_ROUNDS):
        if number and chance.random() < _SHARE_OF_JUMPS:
            steps.append(Step(Later(chance.uniform(*_JUMP))))
        steps += _round(chance, gentle=gentle)
        steps.append(Step(Quiet()))
    return Episode(
        seed,
        development=chance.random() < 0.3,
        adopt=chance.random() < 0.5,
        steps=steps,
    )


def _round(chance: random.Random, *, gentle: bool) -> Iterator[Step]:
    """In a third of all rounds hardly anything breaks, and some calls take a moment longer."""
    calm = chance.random() < 0.33
    for _ in range(_STEPS_OF_A_ROUND):
        fate = chance.random()
        if fate < 0.6:
            act = _request(chance, gentle=gentle)
        elif fate < 0.8:
            act = _hand(chance)
        elif fate < 0.81:
            act = Forget(chance.choice(FAR))
        elif calm:
            act = _small_trouble(chance, gentle=gentle)
        elif fate < 0.83:
            act = Stranger(chance.choice(ACTIONS), _seconds(chance))
        else:
            act = _trouble(chance, gentle=gentle)
        yield Step(act, _wait(chance))
        if isinstance(act, Rival):  # which only a start can meet
            yield Step(_restart(chance, gentle=gentle), _wait(chance))


def _wait(chance: random.Random) -> float:
    """Mostly next to nothing: that is where the races are."""
    fate = chance.random()
    if fate < 0.35:
        return 0.0
    if fate < 0.75:
        return chance.uniform(0, 0.03)
    if fate < 0.96:
        return chance.uniform(0, 0.4)
    return chance.uniform(0.5, 4) if fate < 0.995 else chance.uniform(5, 40)


def _seconds(chance: random.Random) -> float:
    return chance.uniform(0, 0.5) if chance.random() < 0.6 else chance.uniform(0.5, 12)


def _request(chance: random.Random, *, gentle: bool) -> Act:
    fate = chance.random()
    hang_up = chance.uniform(0, 0.1) if chance.random() < 0.1 else None
    if fate < 0.2:
        return Kill(chance.choice(ACTIONS + REACTIONS), hang_up)
    if fate < 0.23 and not gentle:
        return KillAll()
    if fate < 0.26:
        return ListAll()
    if fate < 0.29:
        return Mistake(chance.choice(get_args(Wrong)))
    if fate < 0.3:
        return Cordon(_seconds(chance))
    return _launch(chance, hang_up)


def _launch(chance: random.Random, hang_up: float | None) -> Launch:
    name, identifier = chance.choice(_NAMES), chance.choice(ACTIONS)
    if chance.random() < 0.25:
        name, identifier = REACTION, chance.choice(REACTIONS)
    elif chance.random() < 0.04:
        name = chance.choice(("missing", "nothing"))
    key = f"{identifier} {chance.randrange(3)}" if chance.random() < 0.3 else ""
    return Launch(name, identifier, _params(chance, name), key, hang_up)


def _params(chance: random.Random, name: str) -> dict[str, int]:
    """Most run on; some end at once, or are killed for want of memory; few ignore a SIGTERM."""
    fate = chance.random()
    if fate < 0.12 or (name == REACTION and fate < 0.6):
        return {"exit": chance.choice((0, 1, 3))}
    if fate < 0.14:
        return {"eat": 1}
    if name in READY and fate < 0.3:
        return {chance.choice(("sick", "silent")): 1}
    return {"stubborn": 1} if fate > 0.93 else {}


def _hand(chance: random.Random) -> Hand:
    kinds: dict[HandWork, int] = {
        "exit": 8, "kill": 3, "remove": 3, "restart": 3, "pause": 3, "unpause": 3, "start": 4,
        "rm": 2, "rename": 1, "signal": 2, "oom": 1, "late oom": 2, "heal": 1, "sicken": 3,
    }  # fmt: skip
    (what,) = chance.choices(list(kinds), list(kinds.values()))
    return Hand(what, chance.random(), chance.choice((0, 0, 1, 3, 137)))


def _trouble(chance: random.Random, *, gentle: bool) -> Act:
    kinds: dict[Callable[..., Act], float] = {
        _fault: 0 if gentle else 10, _slow: 6, _news: 3, _odd: 1, _stuck: 1, _unrunnable: 0.5,
        _unpublished: 0.5, _away: 1, _restart: 1, _rival: 0.2,
    }  # fmt: skip
    (kind,) = chance.choices(list(kinds), list(kinds.values()))
    return kind(chance, gentle=gentle)


def _small_trouble(chance: random.Random, *, gentle: bool) -> Act:
    """Small trouble, which must not delay anything for long."""
    fate = chance.random()
    if fate < 0.02:
        return _restart(chance, gentle=gentle)
    return News("cut") if fate < 0.06 else _slow(chance, gentle=True)


def _fault(chance: random.Random, *, gentle: bool) -> Act:
    """A call that was carried out without an answer is never refused."""
    assert not gentle
    after = chance.random() < 0.4
    failures = [each for each in get_args(Failure) if not (after and each == "refused")]
    operation = chance.choice(_OPERATIONS)
    return Fault(operation, chance.choice(failures), after, chance.choice((1, 1, 2, 4, 9)))


def _slow(chance: random.Random, *, gentle: bool) -> Act:
    longest = 0.4 if gentle or chance.random() < 0.8 else 12
    return Slow(chance.choice(_OPERATIONS), chance.uniform(0, longest), chance.random() < 0.5)


def _news(chance: random.Random, **_: object) -> Act:
    what = chance.choice(get_args(NewsTrouble))
    return News(what, 0.0 if what == "cut" else _seconds(chance))


def _odd(chance: random.Random, **_: object) -> Act:
    return Odd(_seconds(chance))


def _stuck(chance: random.Random, **_: object) -> Act:
    return Stuck(chance.random(), 2 * _seconds(chance))


def _unrunnable(chance: random.Random, **_: object) -> Act:
    return Unrunnable(chance.choice(get_args(Obstacle)), _seconds(chance))


def _unpublished(chance: random.Random, **_: object) -> Act:
    return Unpublished(_seconds(chance))


def _rival(chance: random.Random, **_: object) -> Act:
    return Rival(chance.uniform(0.5, 12))


def _away(chance: random.Random, *, gentle: bool) -> Act:
    harmless: Sequence[Absence] = ("hang", "live-restore")
    return Away(chance.choice(harmless if gentle else get_args(Absence)), _seconds(chance))


def _restart(chance: random.Random, *, gentle: bool) -> Act:
    return Restart(
        graceful=chance.random() < 0.5,
        seconds=chance.uniform(0, 1),
        adopt=gentle or chance.random() < 0.5,
        tight=not gentle and chance.random() < 0.2,
        changes_mode=chance.random() < 0.1,
    )
