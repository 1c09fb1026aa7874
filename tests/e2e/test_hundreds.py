"""More jobs than the Engine can take at once: kills, starts, and the return of an Engine."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import docker
import pytest
from google.protobuf.empty_pb2 import Empty

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.agreement import await_fall, await_return
from tests.support.stubborn import is_deaf
from tests.support.supervised import Supervised, eventually

# Two cores launch some ten a second, and end twenty; a busy machine a quarter of that.
pytestmark = pytest.mark.timeout(600)

# There are three times as many stubborn ones as threads for kills: they would take three graces if
# each held its thread for its grace. They take one, and up to 5 s for each turn of the threads.
_MANY, _STUBBORN = 80, 60
_GRACE = 30.0
_ANSWER_SECONDS = 1.0
# As many calls as may be with the Engine at once: for kills and exits, launches, and the rest.
_WORKERS = 20 + 8 + 4


def _launch(supervised: Supervised, many: int, stubborn: int = 0) -> list[str]:
    """So many jobs that run; their identifiers."""
    identifiers = [f"t-{number:03}" for number in range(many)]

    def launch(number: int) -> Response:
        params = {"stubborn": 1} if number < stubborn else {}
        return supervised.launch("timer", identifiers[number], params, timeout=120)

    with ThreadPoolExecutor(16) as pool:
        assert [Response()] * many == list(pool.map(launch, range(many)))
    return identifiers


def _answers_while(supervised: Supervised, call: "Future[Response]") -> list[float]:
    """How long health, a dedup and a list each took, until the call is answered."""
    asked: list[Callable[[], bool]] = [
        lambda: "SERVING" == supervised.health(),
        lambda: Response() == supervised.launch("timer", "stays"),
        lambda: "stays" in supervised.running(),
    ]
    took = []
    while not call.done():
        for ask in asked:
            began = time.monotonic()
            assert ask()
            took.append(time.monotonic() - began)
        time.sleep(0.1)
    return took


def test_many_kills_at_once_all_succeed_and_stubborn_workers_cost_one_grace_together(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(JOB_STOP_GRACE_SECONDS=str(int(_GRACE)))
    identifiers = _launch(supervised, _MANY, _STUBBORN)
    for container in containers.everything(docker_client):
        if str(container.name) < identifiers[_STUBBORN]:
            eventually(partial(is_deaf, container))
    with ThreadPoolExecutor(1) as pool:
        kill = pool.submit(supervised.stub.KillAllJobs, Empty(), timeout=300)
        eventually(lambda: {"stopping"} == {job.status for job in supervised.jobs()})
        began = time.monotonic()
        assert Response() == supervised.launch("timer", "stays")  # overtakes them
        assert not kill.done()
        took = _answers_while(supervised, kill)
        seconds = time.monotonic() - began
        assert Response() == kill.result()
    assert sorted(took)[-1 - len(took) // 20] < _ANSWER_SECONDS
    assert seconds < 2.75 * _GRACE, seconds  # on a busy machine; each turn by itself would take 3
    assert ["stays"] == supervised.running() == containers.live(docker_client)
    assert 1 == len(containers.everything(docker_client))
    metrics = supervised.scrape()
    outcomes = {"stopped": _MANY - _STUBBORN, "forced": _STUBBORN, "failed": 0}
    assert outcomes == {
        outcome: metrics.sum("supervisor_kills_total", outcome=outcome) for outcome in outcomes
    }
    assert 0 == metrics.sum("supervisor_engine_errors_total")
    assert _WORKERS == metrics.sum("supervisor_engine_workers", state="limit")


def test_many_are_taken_over_are_there_after_a_gap_and_are_cleared_away(
    start: Start, engine: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    identifiers = _launch(supervised, _MANY)
    supervised.stop(signal.SIGKILL)
    supervised.start(SUPERVISOR_ON_START="adopt")
    assert identifiers == supervised.running()
    engine.freeze()
    try:
        await_fall(supervised)
    finally:
        engine.thaw()
    await_return(supervised)
    assert identifiers == supervised.running() == containers.live(docker_client)
    supervised.stop(signal.SIGKILL)
    supervised.start(SUPERVISOR_ON_START="remove", ready=False)
    eventually(supervised.is_ready, within=120)
    assert [] == supervised.running()
    assert [] == containers.everything(docker_client)
    assert _MANY == supervised.metric("supervisor_orphans_removed_total")
    assert [] == list(supervised.events("janitor.failed"))
