"""What never waits for the Engine answers while it has all the work it can do, or hangs."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.stubborn import is_deaf
from tests.support.supervised import Supervised, eventually

pytestmark = pytest.mark.timeout(240)

_MANY = 64
_IDENTIFIERS = sorted(f"many-{number}" for number in range(_MANY))
# These take milliseconds; the machine is busy with 64 launches, and runs the clients too. What
# waits for the Engine takes longer: a kill its grace, and a call to one that hangs for ever.
_ANSWER_SECONDS = 2.5
# Launches wait for five seconds for an Engine that is away; one that hangs is first found out.
_FROZEN_SECONDS = 2.0
_GRACE = 3
_TOO_SLOW = 504


@pytest.fixture
def engine_to_freeze(engine: PrivateEngine, start: Start) -> Iterator[PrivateEngine]:
    """The Engine, which a test may freeze; requested after `start`, which then cleans up."""
    assert callable(start)
    yield engine
    engine.thaw()


def _look(supervised: Supervised, ready: str = "SERVING") -> list[tuple[str, float]]:
    """One round of everything that answers at once, and how long each took (seconds)."""
    checks: dict[str, Callable[[], bool]] = {
        "ListJobs": lambda: "running-already" in supervised.running(),
        "dedup": lambda: supervised.launch("timer", "running-already") == Response(),
        "health": lambda: supervised.health() in (ready, "SERVING"),
        "liveness": lambda: supervised.health("liveness") == "SERVING",
        "livez": lambda: supervised.http("/livez") == (200, "alive\n"),
        "metrics": lambda: supervised.metric("supervisor_jobs_running") >= 1,
        "kill of nothing": lambda: supervised.kill("not-running") == Response(),
    }
    took = []
    for name, check in checks.items():
        began = time.monotonic()
        assert check(), name
        took.append((name, time.monotonic() - began))
    return took


def _slow(looks: list[tuple[str, float]]) -> list[tuple[str, float]]:
    return [(name, seconds) for name, seconds in looks if seconds > _ANSWER_SECONDS]


def _launch_all(supervised: Supervised, pool: ThreadPoolExecutor) -> list["Future[Response]"]:
    """Launches of which each has arrived."""
    launches = [pool.submit(supervised.launch, "timer", each) for each in _IDENTIFIERS]
    eventually(lambda: _MANY + 1 == supervised.calls("LaunchJob"))
    return launches


def _unfinished(calls: list["Future[Any]"]) -> int:
    return sum(not call.done() for call in calls)


def _all_run(supervised: Supervised, client: docker.DockerClient) -> None:
    """The list, the metrics and the Engine agree that all are there."""
    expected = sorted([*_IDENTIFIERS, "running-already"])
    assert expected == supervised.running()
    assert {"running"} == {job.status for job in supervised.jobs()}
    assert expected == containers.live(client)
    assert len(expected) == len(containers.everything(client))
    assert len(expected) == supervised.metric("supervisor_jobs_running", job_name="timer")
    assert len(expected) == supervised.metric("supervisor_launches_total", job_name="timer")
    assert 0 == supervised.metric("supervisor_jobs", state="starting")


def test_it_answers_while_64_launches_are_under_way_and_all_run(
    supervisor: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == supervisor.launch("timer", "running-already")
    with ThreadPoolExecutor(_MANY) as pool:
        launches = _launch_all(supervisor, pool)
        looks = []
        while _unfinished(launches):
            looks += _look(supervisor)
        answers = [launch.result() for launch in launches]
    assert [Response()] * _MANY == answers
    assert len(looks) >= 2 * 7  # two whole rounds, or this has shown nothing
    assert [] == _slow(looks)
    _all_run(supervisor, docker_client)


def test_it_answers_while_64_launches_wait_for_a_hung_engine_and_all_run(
    start: Start, engine_to_freeze: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "running-already")
    with ThreadPoolExecutor(_MANY) as pool:
        engine_to_freeze.freeze()
        frozen = time.monotonic()
        launches = _launch_all(supervised, pool)
        looks: list[tuple[str, float]] = []
        while not looks or time.monotonic() < frozen + _FROZEN_SECONDS:
            looks += _look(supervised, ready="NOT_SERVING")
            assert _MANY == _unfinished(launches)
        states = {job.status for job in supervised.jobs() if job.identifier in _IDENTIFIERS}
        engine_to_freeze.thaw()
        answers = [launch.result() for launch in launches]
    assert {"starting"} == states
    assert [Response()] * _MANY == answers
    assert [] == _slow(looks)
    eventually(supervised.is_ready)
    _all_run(supervised, docker_client)


def test_it_answers_while_64_kills_are_under_way_and_a_launch_comes_through(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(JOB_STOP_GRACE_SECONDS=str(_GRACE))
    stubborn = {"stubborn": 1}
    with ThreadPoolExecutor(_MANY) as pool:
        launch = lambda each: supervised.launch("timer", each, stubborn)  # noqa: E731
        assert [Response()] * _MANY == list(pool.map(launch, _IDENTIFIERS))
        assert Response() == supervised.launch("timer", "running-already")
        eventually(lambda: all(map(is_deaf, _containers(docker_client))))
        kills = [pool.submit(supervised.kill, each) for each in _IDENTIFIERS]
        eventually(lambda: _MANY == supervised.calls("KillJob"))
        assert _MANY == _unfinished(kills)
        looks = _look(supervised)
        assert Response() == supervised.launch("timer", "meanwhile")
        assert _unfinished(kills) > 0
        while _unfinished(kills):
            looks += _look(supervised)
        answers = {each: kill.result() for each, kill in zip(_IDENTIFIERS, kills, strict=True)}
    assert [] == _slow(looks)
    _kill_again(supervised, answers)
    assert ["meanwhile", "running-already"] == supervised.running()
    assert ["meanwhile", "running-already"] == containers.live(docker_client)
    assert 2 == len(containers.everything(docker_client))
    assert 2 == supervised.metric("supervisor_jobs_running")


def _kill_again(supervised: Supervised, answers: Mapping[str, Response]) -> None:
    """Repeat the kills that the Engine was too slow for. All others were answered with success.

    That is a real limit: a call to the Engine may take ten seconds, and a busy machine takes longer
    for the end of one container of so many.
    """
    late = [each for each, answer in answers.items() if answer.error.code == _TOO_SLOW]
    assert [] == [a for each, a in answers.items() if each not in late and a != Response()]
    assert len(late) <= supervised.metric("supervisor_engine_errors_total", reason="timeout")
    for each in late:
        assert Response() == supervised.kill(each)


def _containers(client: docker.DockerClient) -> list[Container]:
    """Those of the jobs that are to be killed."""
    return [each for each in containers.everything(client) if each.name in _IDENTIFIERS]


def test_no_more_jobs_run_than_may(start: Start, docker_client: docker.DockerClient) -> None:
    supervised = start(MAX_RUNNING_JOBS="2")
    with ThreadPoolExecutor(8) as pool:
        launches = [pool.submit(supervised.launch, "timer", f"t-{number}") for number in range(8)]
        codes = sorted(launch.result().error.code for launch in launches)
    assert [0, 0, *[429] * 6] == codes
    assert 2 == len(containers.live(docker_client))
    (runs, _) = supervised.running()
    assert Response() == supervised.launch("timer", runs)
    assert Response() == supervised.kill(runs)
    assert Response() == supervised.launch("timer", "t-new")
