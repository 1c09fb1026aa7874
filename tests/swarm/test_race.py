"""Two supervisors launch and kill the same things from sixteen clients."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service._generated.area_types_pb2 import Response
from tests.support.node_events import watching
from tests.support.supervised import Supervised, eventually
from tests.support.swarm import Swarm
from tests.swarm.conftest import Begin
from tests.swarm.two import AGREE, LABEL, total, until_both_have

_IDENTIFIERS = 20
_CLIENTS = 16
_SECONDS = 60.0

pytestmark = pytest.mark.timeout(400)


def _play(supervised: Supervised, chance: random.Random) -> list[str]:
    """What was answered otherwise than with a success."""
    until, failures = time.monotonic() + _SECONDS, list[str]()
    while time.monotonic() < until:
        name = f"job-{chance.randrange(_IDENTIFIERS)}"
        if chance.random() < 0.55:
            answer = supervised.launch("timer", name)
        else:
            answer = supervised.kill(name)
        if answer != Response():
            failures.append(str(answer))
        time.sleep(chance.uniform(0, 0.3))
    return failures


def test_an_identifier_runs_once_at_any_time_whoever_launches_and_kills(
    managers: Swarm, begin: Begin
) -> None:
    both = begin(managers.managers[1]), begin(managers.managers[2])
    with watching(managers.nodes, LABEL) as running, ThreadPoolExecutor(_CLIENTS) as pool:
        plays = [pool.submit(_play, both[n % 2], random.Random(n)) for n in range(_CLIENTS)]
        failures = [failure for play in plays for failure in play.result()]
    assert [] == failures
    assert running.starts >= _IDENTIFIERS
    assert {1} == set(running.most_at_once().values())
    eventually(lambda: both[0].running() == both[1].running(), within=AGREE)
    until_both_have(both, *both[0].running())
    launches = total(both, "supervisor_launches_total")
    exits = total(both, "supervisor_exits_total")
    assert launches == exits + len(both[0].running())
