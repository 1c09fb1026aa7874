"""An Engine that goes away, hangs or dies, and comes back."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import docker
import pytest

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.agreement import agree, await_fall, await_return, exits
from tests.support.line import Line
from tests.support.supervised import Supervised, eventually

# An Engine that starts again takes seconds of its own.
pytestmark = pytest.mark.timeout(240)

# "up to 5 s", likewise; not less than most of it either, or it would not have waited.
_PATIENCE_SECONDS = (3.5, 9.0)
# What does not wait for the Engine takes milliseconds; the machine may be busy.
_AT_ONCE_SECONDS = 3.0


def _tells_that_it_is_away(supervised: Supervised) -> None:
    assert "NOT_SERVING" == supervised.health("area_supervisor.AreaSupervisorService")
    assert "SERVING" == supervised.health("liveness")
    assert (200, "alive\n") == supervised.http("/livez")
    status, reason = supervised.http("/readyz")
    assert 503 == status
    assert "Docker Engine" in reason
    assert 0 == supervised.metric("supervisor_engine_up")


def _tells_that_it_is_back(supervised: Supervised) -> None:
    assert "SERVING" == supervised.health("area_supervisor.AreaSupervisorService")
    assert (200, "ready\n") == supervised.http("/readyz")
    eventually(lambda: 1 == supervised.metric("supervisor_engine_up"))


def _answers_at_once(supervised: Supervised, *running: str) -> None:
    """The list and a dedup of each job, of what was last known."""
    began = time.monotonic()
    assert sorted(running) == supervised.running()
    for identifier in running:
        assert Response() == supervised.launch("timer", identifier)
    assert time.monotonic() - began < _AT_ONCE_SECONDS


def _is_refused_after_some_patience(supervised: Supervised, identifier: str) -> None:
    began = time.monotonic()
    answer = supervised.launch("timer", identifier)
    took = time.monotonic() - began
    assert 503 == answer.error.code
    assert "Docker Engine" in answer.error.message
    least, most = _PATIENCE_SECONDS
    assert least < took < most


# ---------------------------------------------------------------- stopped


def test_an_engine_that_is_stopped_is_told_and_its_return_too(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    fragile.stop()
    await_fall(supervised)
    _tells_that_it_is_away(supervised)
    _answers_at_once(supervised)
    _is_refused_after_some_patience(supervised, "t-1")
    assert [] == supervised.running()
    assert 1 == supervised.metric("supervisor_failures_total", reason="unavailable")
    fragile.start()
    await_return(supervised)
    _tells_that_it_is_back(supervised)
    assert Response() == supervised.launch("timer", "t-1")
    agree(supervised, docker_client, "t-1")


def test_an_engine_that_is_stopped_takes_its_jobs_along(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    identifiers = [f"t-{number}" for number in range(4)]
    for identifier in identifiers:
        assert Response() == supervised.launch("timer", identifier)
    fragile.restart()
    await_return(supervised)
    eventually(supervised.is_idle)
    agree(supervised, docker_client)
    # Of some it hears before the Engine is gone; either way each is counted, once.
    ended = exits(supervised)
    assert 4 == sum(ended.values())
    assert {"lost", "error", "ended"} >= ended.keys()
    for identifier in identifiers:
        assert Response() == supervised.launch("timer", identifier)
    agree(supervised, docker_client, *identifiers)


# ---------------------------------------------------------------- a crash


def test_while_a_crashed_engine_is_away_the_last_known_state_answers(
    start: Start, fragile: PrivateEngine
) -> None:
    supervised = start()
    for identifier in ("t-1", "t-2"):
        assert Response() == supervised.launch("timer", identifier)
    fragile.kill()
    await_fall(supervised)
    _tells_that_it_is_away(supervised)
    _answers_at_once(supervised, "t-1", "t-2")
    assert 2 == supervised.metric("supervisor_dedups_total", job_name="timer")
    _is_refused_after_some_patience(supervised, "t-3")
    _answers_at_once(supervised, "t-1", "t-2")
    assert {} == exits(supervised)


def test_jobs_that_a_crash_has_killed_are_lost_and_can_be_launched_again(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    identifiers = [f"t-{number}" for number in range(5)]
    for identifier in identifiers:
        assert Response() == supervised.launch("timer", identifier)
    stranger = containers.stranger(docker_client, "stranger")
    before = {containers.one(docker_client, each).id for each in identifiers}
    fragile.kill()
    await_fall(supervised)
    fragile.start()
    await_return(supervised)
    eventually(supervised.is_idle)
    assert {"lost": 5} == exits(supervised)
    assert {"lost"} == {event["outcome"] for event in supervised.events("job.exited")}
    assert containers.exists(stranger)
    stranger.remove(force=True)
    agree(supervised, docker_client)
    for identifier in identifiers:
        assert Response() == supervised.launch("timer", identifier)
    agree(supervised, docker_client, *identifiers)
    assert not before & {containers.one(docker_client, each).id for each in identifiers}
    assert Response() == supervised.kill_all()
    agree(supervised, docker_client)
    assert {"lost": 5, "killed": 5} == exits(supervised)


def test_a_crash_amid_launches_and_kills_leaves_all_in_agreement(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    old = sorted(f"old-{number}" for number in range(6))
    new = sorted(f"new-{number}" for number in range(16))
    for identifier in old:
        assert Response() == supervised.launch("timer", identifier)
    with ThreadPoolExecutor(32) as pool:
        launches = [pool.submit(supervised.launch, "timer", each) for each in new]
        kills = [pool.submit(supervised.kill, each) for each in old]
        eventually(lambda: supervised.metric("supervisor_launches_total") >= 8)
        fragile.kill()
        fragile.start()
        errors = [call.result().error for call in launches + kills]
    assert [] == [error for error in errors if error.code not in (0, 503)]
    await_return(supervised)
    eventually(lambda: supervised.running() == containers.live(docker_client))
    agree(supervised, docker_client, *supervised.running())
    for identifier in (*old, *new):
        assert Response() == supervised.launch("timer", identifier)
    agree(supervised, docker_client, *old, *new)


def test_crash_after_crash_it_comes_back_each_time(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    for round_ in range(1, 4):
        assert Response() == supervised.launch("timer", "t-1")
        fragile.kill()
        await_fall(supervised)
        fragile.start()
        await_return(supervised)
        eventually(supervised.is_idle)
        assert {"lost": round_} == exits(supervised)
        assert round_ <= supervised.metric("supervisor_event_stream_reconnects_total")
    agree(supervised, docker_client)


# ---------------------------------------------------------------- a short gap


def test_a_launch_that_meets_a_short_gap_succeeds(
    start: Start, line: Line, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=line.host)
    assert Response() == supervised.launch("timer", "before")
    line.cut()
    await_fall(supervised)
    with ThreadPoolExecutor(2) as pool:
        began = time.monotonic()
        launch = pool.submit(supervised.launch, "timer", "meets-it")
        again = pool.submit(supervised.launch, "timer", "meets-it")
        eventually(lambda: 3 == supervised.calls("LaunchJob"))
        assert "NOT_SERVING" == supervised.health()
        assert not launch.done()
        line.mend()
        assert [Response()] * 2 == [launch.result(), again.result()]
        assert time.monotonic() - began < _PATIENCE_SECONDS[1]
    assert "SERVING" == supervised.health()
    agree(supervised, docker_client, "before", "meets-it")
    assert {} == exits(supervised)


def test_a_crashed_engine_that_is_soon_back_costs_a_launch_nothing_but_time(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    with ThreadPoolExecutor(1) as pool:
        fragile.kill()
        begun = time.monotonic()
        launch = pool.submit(supervised.launch, "timer", "t-1")
        fragile.start()
        took = time.monotonic() - begun
        answer = launch.result()
        waited = time.monotonic() - begun
    if took > _PATIENCE_SECONDS[0]:  # on a machine that is too busy, as much is waited as promised
        assert waited > _PATIENCE_SECONDS[0]
        answer = supervised.launch("timer", "t-1")
    assert Response() == answer
    agree(supervised, docker_client, "t-1")


def test_launches_that_are_with_the_engine_in_a_gap_run_once(
    start: Start, fragile: PrivateEngine, line: Line, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=line.host)
    identifiers = [f"t-{number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        fragile.freeze()  # it has got them, and will do them, but nobody will hear of it
        launches = [pool.submit(supervised.launch, "timer", each) for each in identifiers]
        eventually(lambda: 4 == line.posts)
        line.cut()
        fragile.thaw()
        eventually(lambda: supervised.metric("supervisor_engine_errors_total", operation="create"))
        line.mend()
        assert [Response()] * 4 == [launch.result() for launch in launches]
    agree(supervised, docker_client, *identifiers)
    assert 4 == supervised.metric("supervisor_launches_total", job_name="timer")


def test_what_a_try_has_left_is_cleared_however_slow_the_engine_is_after_the_gap(
    start: Start, fragile: PrivateEngine, line: Line, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=line.host)

    def errors(operation: str, reason: str) -> float:
        labels = {"operation": operation, "reason": reason}
        return supervised.metric("supervisor_engine_errors_total", **labels)

    with ThreadPoolExecutor(1) as pool:
        fragile.freeze()
        launch = pool.submit(supervised.launch, "timer", "t-1")
        eventually(lambda: 1 == line.posts)
        line.cut()
        eventually(lambda: errors("create", "unavailable"))
        fragile.thaw()
        eventually(lambda: containers.everything(docker_client))  # nobody has heard of this one
        fragile.freeze()
        line.mend()
        before = errors("ping", "timeout")
        # It answers nothing for longer than a name that is being freed is waited for.
        eventually(lambda: errors("ping", "timeout") >= before + 3, within=40)
        fragile.thaw()
        assert Response() == launch.result()
    await_return(supervised)
    agree(supervised, docker_client, "t-1")


def test_what_dies_or_vanishes_in_a_gap_is_lost_and_what_stays_stays(
    start: Start, line: Line, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=line.host)
    for identifier in ("dies", "vanishes", "stays"):
        assert Response() == supervised.launch("timer", identifier)
    line.cut()
    await_fall(supervised)
    containers.one(docker_client, "dies").kill()
    containers.one(docker_client, "vanishes").remove(force=True)
    _answers_at_once(supervised, "dies", "stays", "vanishes")
    line.mend()
    await_return(supervised)
    agree(supervised, docker_client, "stays")
    assert {"lost": 2} == exits(supervised)


def test_a_kill_in_a_gap_is_refused_and_works_afterwards(
    start: Start, line: Line, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=line.host)
    for identifier in ("t-1", "t-2"):
        assert Response() == supervised.launch("timer", identifier)
    line.cut()
    await_fall(supervised)
    answer = supervised.kill("t-1")
    assert 503 == answer.error.code
    assert [("t-1", "running"), ("t-2", "running")] == sorted(
        (job.identifier, job.status) for job in supervised.jobs()
    )
    assert 503 == supervised.kill_all().error.code
    with ThreadPoolExecutor(1) as pool:
        kill = pool.submit(supervised.kill, "t-1")
        eventually(lambda: "stopping" in [job.status for job in supervised.jobs()])
        line.mend()
        assert Response() == kill.result()
    await_return(supervised)
    agree(supervised, docker_client, "t-2")
    assert {"killed": 1} == exits(supervised)


# ---------------------------------------------------------------- hung


def test_an_engine_that_hangs_is_told_and_its_return_too(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    for identifier in ("t-1", "t-2"):
        assert Response() == supervised.launch("timer", identifier)
    fragile.freeze()
    _answers_at_once(supervised, "t-1", "t-2")
    await_fall(supervised)
    _tells_that_it_is_away(supervised)
    _answers_at_once(supervised, "t-1", "t-2")
    _is_refused_after_some_patience(supervised, "t-3")
    fragile.thaw()
    await_return(supervised)
    _tells_that_it_is_back(supervised)
    agree(supervised, docker_client, "t-1", "t-2")
    assert {} == exits(supervised)
    assert Response() == supervised.launch("timer", "t-3")
    assert Response() == supervised.kill("t-1")
    agree(supervised, docker_client, "t-2", "t-3")


def test_a_kill_that_finds_the_engine_hanging_is_refused_after_some_patience(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1")
    fragile.freeze()
    await_fall(supervised)
    least, most = _PATIENCE_SECONDS
    for kill in (partial(supervised.kill, "t-1"), supervised.kill_all):
        began = time.monotonic()
        assert 503 == kill().error.code
        assert least < time.monotonic() - began < most
    assert ["t-1"] == supervised.running()
    fragile.thaw()
    await_return(supervised)
    assert Response() == supervised.kill("t-1")
    agree(supervised, docker_client)


def test_a_launch_that_a_hung_engine_does_late_succeeds_late(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    with ThreadPoolExecutor(1) as pool:
        fragile.freeze()
        launch = pool.submit(supervised.launch, "timer", "t-1")
        await_fall(supervised)
        assert not launch.done()
        fragile.thaw()
        assert Response() == launch.result()
    await_return(supervised)
    agree(supervised, docker_client, "t-1")


def test_a_launch_that_is_given_up_leaves_nothing_and_blocks_nothing(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start(LAUNCH_TIMEOUT_SECONDS="5")
    fragile.freeze()
    began = time.monotonic()
    answer = supervised.launch("timer", "t-1")
    assert 504 == answer.error.code
    assert time.monotonic() - began < 10
    assert [] == supervised.running()
    assert 0 == supervised.metric("supervisor_jobs")
    fragile.thaw()
    await_return(supervised)
    eventually(lambda: [] == containers.everything(docker_client))
    assert [] == supervised.running()
    assert Response() == supervised.launch("timer", "t-1")
    agree(supervised, docker_client, "t-1")


def test_an_exit_while_it_hangs_is_found_out(
    start: Start, fragile: PrivateEngine, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1")
    assert Response() == supervised.launch("timer", "t-2")
    process = int(containers.one(docker_client, "t-1").attrs["State"]["Pid"])
    fragile.freeze()
    await_fall(supervised)
    os.kill(process, signal.SIGKILL)
    assert ["t-1", "t-2"] == supervised.running()  # nobody can know yet
    fragile.thaw()
    await_return(supervised)
    agree(supervised, docker_client, "t-2")
    assert 1 == sum(exits(supervised).values())
    assert Response() == supervised.launch("timer", "t-1")
    agree(supervised, docker_client, "t-1", "t-2")
