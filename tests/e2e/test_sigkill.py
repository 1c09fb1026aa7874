"""A supervisor that is killed in the middle of its work, and what the next start makes of it."""

import random
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import docker
import pytest

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.agreement import settled
from tests.support.supervised import Supervised, eventually

pytestmark = pytest.mark.timeout(240)

_ROUNDS = 5
_LAUNCHES, _KILLS = 8, 4


@pytest.mark.parametrize("on_start", ["remove", "adopt"])
def test_a_sigkill_at_any_moment_is_repaired_by_the_next_start(
    start: Start, docker_client: docker.DockerClient, on_start: str
) -> None:
    chance = random.Random(on_start)
    supervised = start(SUPERVISOR_ON_START=on_start, ORPHAN_GRACE_SECONDS="0")
    for number in range(_ROUNDS):
        launched, killed = _work_until_a_sigkill(supervised, chance, number)
        supervised.start()
        running = settled(supervised, docker_client)  # so none is half done, and none runs twice
        if on_start == "remove":  # all but what the Engine may have started late
            assert not launched & set(running)
            assert not [each for each in running if each.startswith("old")]
        else:
            assert launched <= set(running)
            assert not killed & set(running)
    for identifier in supervised.running():
        assert Response() == supervised.launch("timer", identifier)
    assert Response() == supervised.kill_all()
    assert [] == containers.everything(docker_client)


def _work_until_a_sigkill(
    supervised: Supervised, chance: random.Random, number: int
) -> tuple[set[str], set[str]]:
    """What was launched and what was killed, as far as it was answered before the SIGKILL."""
    new = [f"new-{number}-{each}" for each in range(_LAUNCHES)]
    old = [f"old-{number}-{each}" for each in range(_KILLS)]
    with ThreadPoolExecutor(_LAUNCHES + _KILLS) as pool:
        first = list(pool.map(lambda each: supervised.launch("timer", each), old))
        assert [Response()] * _KILLS == first
        work: list[tuple[Callable[[str], Response], str]]
        work = [(lambda each: supervised.launch("timer", each), each) for each in new]
        work += [(supervised.kill, each) for each in old]
        chance.shuffle(work)
        calls = {each: pool.submit(call, each) for call, each in work}
        answered = chance.randrange(len(calls))
        eventually(lambda: sum(call.done() for call in calls.values()) >= answered, within=60)
        supervised.stop(signal.SIGKILL)
    done = {each for each, call in calls.items() if _succeeded(call)}
    return done & set(new), done & set(old)


def _succeeded(call: "Future[Response]") -> bool:
    return call.exception() is None and call.result() == Response()
