"""Faults at random on a Swarm with two supervisors: `SEED=3 make test-swarm ARGS="-k seed"`.

Supervisors and managers die and come back, workers die or are cut off, a third party removes
services, and clients launch and kill all the while. In the end all has to agree.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, get_args

import grpc
import pytest

from service._generated.area_types_pb2 import Response
from tests.support.supervised import Supervised, eventually
from tests.support.swarm import Swarm
from tests.swarm.conftest import Begin
from tests.swarm.two import Both, launch, runs_on, until_both_have

What = Literal["supervisor", "manager", "worker", "cable", "stranger"]

_SEEDS = [int(seed) for seed in os.environ.get("SEED", "1 2").split()]
_ACTS = 6
_CLIENTS = 6
_IDENTIFIERS = [f"a-{n}" for n in range(12)]
# What may be answered while faults are under way: no leader, no answer, no room, no more tries.
_ALLOWED = frozenset({409, 429, 502, 503, 504})
_MENDED = 120.0

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True, slots=True)
class Act:
    """A fault, to which of two it happens, and how long it lasts and the quiet after it (s)."""

    what: What
    target: int
    seconds: float
    pause: float


def plan(seed: int) -> list[Act]:
    """The same for the same seed."""
    chance = random.Random(seed)
    return [
        Act(
            chance.choice(get_args(What)),
            chance.randrange(2),
            chance.uniform(1, 20),
            chance.uniform(1, 4),
        )
        for _ in range(_ACTS)
    ]


@contextmanager
def _fault(act: Act, both: Both, swarm: Swarm) -> Iterator[None]:
    supervised, manager = both[act.target], swarm.managers[act.target]
    worker = swarm.workers[act.target]
    match act.what:
        case "supervisor":
            supervised.stop(signal.SIGKILL)
            yield
            supervised.start(ready=False)
        case "manager":
            manager.kill()
            yield
            manager.start()
        case "worker":
            worker.lose_power()
            yield
            worker.start()
        case "cable":
            worker.machine.cut_off()
            yield
            worker.machine.plug_in()
        case "stranger":
            _remove_one(swarm)
            yield


def _remove_one(swarm: Swarm) -> None:
    with swarm.managers[2].client() as client, suppress(Exception):  # it may be gone, or no leader
        client.services.list()[0].remove()  # type: ignore[no-untyped-call]


def _play(supervised: Supervised, chance: random.Random, over: threading.Event) -> list[str]:
    """What must not have been answered."""
    wrong = list[str]()
    while not over.is_set():
        name = chance.choice(_IDENTIFIERS)
        with suppress(grpc.RpcError):  # it is dead at the moment
            kills = chance.random() < 0.4
            answer = supervised.kill(name) if kills else supervised.launch("timer", name)
            if answer != Response() and answer.error.code not in _ALLOWED:
                wrong.append(str(answer))
        over.wait(chance.uniform(0, 1))
    return wrong


@pytest.mark.parametrize("seed", _SEEDS)
def test_all_agree_after_faults_of_a_seed(seed: int, managers: Swarm, begin: Begin) -> None:
    # Both at the third manager, which lives: the others and it have a quorum.
    both = begin(managers.managers[2]), begin(managers.managers[2])
    over = threading.Event()
    with ThreadPoolExecutor(_CLIENTS) as pool:
        plays = [
            pool.submit(_play, both[n % 2], random.Random(seed * 100 + n), over)
            for n in range(_CLIENTS)
        ]
        for act in plan(seed):
            with _fault(act, both, managers):
                time.sleep(act.seconds)
            time.sleep(act.pause)
        over.set()
        wrong = [answer for play in plays for answer in play.result()]
    assert [] == wrong
    for each in both:
        eventually(each.is_ready, within=_MENDED)
    eventually(lambda: _agree(both, managers), within=_MENDED)
    for name in _IDENTIFIERS:
        launch(both[0], name)
    until_both_have(both, *_IDENTIFIERS)
    assert Response() == both[1].kill_all()
    until_both_have(both)
    assert [] == _all_that_run(managers)


def _agree(both: Both, swarm: Swarm) -> bool:
    lists = [each.running() for each in both]
    return lists[0] == lists[1] == _all_that_run(swarm)


def _all_that_run(swarm: Swarm) -> list[str]:
    """The identifiers of all containers on all nodes, sorted."""
    return sorted(name for node in swarm.nodes for name in runs_on(node))
