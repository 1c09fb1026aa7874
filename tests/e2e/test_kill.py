"""KillJob and KillAllJobs: SIGTERM, the grace, SIGKILL; gone and the name free when answered."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import docker
import pytest
from docker.models.containers import Container

from service._generated.area_supervisor_pb2 import JobId
from service._generated.area_types_pb2 import Response
from tests.support import containers
from tests.support.stubborn import a_stubborn_one, is_deaf
from tests.support.supervised import Supervised, eventually

_GRACE = 2.0  # of the shared supervisor


def _exit_code(client: docker.DockerClient, container: Container) -> int:
    """The exit code that the Engine tells in its event."""
    until = int(time.time()) + 1
    filters = {"container": container.id, "event": "die"}
    (event,) = client.events(since=0, until=until, filters=filters, decode=True)
    return int(event["Actor"]["Attributes"]["exitCode"])


def test_sigterm_arrives_and_the_container_is_gone(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1")
    container = containers.one(docker_client, "t-1")
    eventually(container.logs)  # before its init listens, a SIGTERM is lost
    assert Response() == shared.kill("t-1")
    assert [] == shared.jobs()
    assert [] == containers.everything(docker_client)
    assert 143 == _exit_code(docker_client, container)  # after the grace it would be SIGKILL


def test_a_stubborn_one_gets_sigkill_after_the_grace(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    before = shared.metric("supervisor_kills_total", job_name="timer", outcome="forced")
    container = a_stubborn_one(shared, docker_client, "t-1")
    began = time.monotonic()
    assert Response() == shared.kill("t-1")
    assert _GRACE - 0.1 < time.monotonic() - began < _GRACE + 20
    assert [] == containers.everything(docker_client)
    assert 137 == _exit_code(docker_client, container)
    after = shared.metric("supervisor_kills_total", job_name="timer", outcome="forced")
    assert 1 == after - before


def test_what_does_not_run_is_a_success(shared: Supervised) -> None:
    assert Response() == shared.kill("nobody")
    assert Response() == shared.kill_all()


def test_a_stranger_is_not_killed(shared: Supervised, docker_client: docker.DockerClient) -> None:
    strangers = [
        containers.stranger(docker_client, "theirs"),
        containers.stranger(docker_client, "x-1", containers.labels_of_another("other", "theirs")),
    ]
    assert Response() == shared.kill("theirs")
    assert Response() == shared.kill_all()
    assert all(map(containers.runs, strangers))


def test_the_name_is_free_when_a_kill_is_answered(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    seen = set()
    for _ in range(5):
        assert Response() == shared.launch("timer", "t-1")
        seen.add(containers.one(docker_client, "t-1").id)
        assert Response() == shared.kill("t-1")
        docker_client.containers.create("supervisor-test-worker", name="t-1").remove()
    assert 5 == len(seen)


def test_every_reaction_of_an_identifier_dies(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    for _ in range(4):
        assert Response() == shared.launch("mail", "m-1")
    assert Response() == shared.launch("mail", "m-2")
    assert Response() == shared.kill("m-1")
    assert ["m-2"] == shared.running()
    assert ["m-2"] == containers.live(docker_client)
    assert 1 == len(containers.everything(docker_client))


def test_all_are_killed_in_parallel(shared: Supervised, docker_client: docker.DockerClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(12):
            pool.submit(shared.launch, "timer", f"t-{number}", {"stubborn": 1})
    assert 12 == len(shared.jobs())
    for container in containers.everything(docker_client):
        eventually(partial(is_deaf, container))
    began = time.monotonic()
    assert Response() == shared.kill_all()
    assert time.monotonic() - began < 6 * _GRACE  # one after the other would be twelve
    assert [] == shared.jobs()
    assert [] == containers.everything(docker_client)


def test_a_kill_of_everything_includes_launches_under_way(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    with ThreadPoolExecutor(24) as pool:
        calls = [pool.submit(shared.launch, "timer", f"t-{number}") for number in range(24)]
        eventually(lambda: 24 == len(shared.jobs()))
        assert any(job.status == "starting" for job in shared.jobs())
        assert Response() == shared.kill_all()
        assert [] == shared.jobs()
        assert [] == containers.everything(docker_client)
        assert [Response()] * 24 == [call.result() for call in calls]


def test_after_a_kill_of_everything_all_can_be_launched_at_once(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    identifiers = sorted(f"t-{number}" for number in range(6))
    for _ in range(2):
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda i: shared.launch("timer", i), identifiers))
        assert [Response()] * 6 == answers
        assert identifiers == containers.live(docker_client)
        assert Response() == shared.kill_all()


def test_many_kills_of_one_job_all_succeed(shared: Supervised) -> None:
    before = shared.metric("supervisor_kills_total", job_name="timer")
    assert Response() == shared.launch("timer", "t-1", {"stubborn": 1})
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: shared.kill("t-1"), range(10)))
    assert [Response()] * 10 == answers
    assert 1 == shared.metric("supervisor_kills_total", job_name="timer") - before


def test_a_launch_during_a_kill_waits_and_launches(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    first = a_stubborn_one(shared, docker_client, "t-1")
    with ThreadPoolExecutor(4) as pool:
        kill = pool.submit(shared.kill, "t-1")
        eventually(lambda: ["stopping"] == [job.status for job in shared.jobs()])
        launches = [pool.submit(shared.launch, "timer", "t-1") for _ in range(3)]
        assert [Response()] * 4 == [call.result() for call in (kill, *launches)]
    assert first.id != containers.one(docker_client, "t-1").id
    assert [("t-1", "running")] == [(job.identifier, job.status) for job in shared.jobs()]


def test_a_kill_of_a_launch_under_way_waits_for_it(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    for round_ in range(5):
        identifier = f"t-{round_}"
        with ThreadPoolExecutor(2) as pool:
            launch = pool.submit(shared.launch, "timer", identifier)
            threading.Event().wait(round_ * 0.02)  # at another moment of the launch each time
            assert Response() == shared.kill(identifier)
            assert Response() == launch.result()
        # The kill came first, and did nothing; or it came second, and the job is gone.
        assert containers.live(docker_client) == shared.running()


def test_a_client_that_hangs_up_on_a_kill_does_not_stop_it(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "t-1", {"stubborn": 1})
    call = shared.stub.KillJob.future(JobId(identifier="t-1"), timeout=30)
    eventually(lambda: ["stopping"] == [job.status for job in shared.jobs()])
    call.cancel()
    eventually(shared.is_idle)
    assert [] == containers.everything(docker_client)


@pytest.mark.parametrize("how", ["exit", "remove", "kill"])
def test_a_kill_that_meets_an_end_by_itself_succeeds(
    shared: Supervised, docker_client: docker.DockerClient, how: str
) -> None:
    for _ in range(4):
        assert Response() == shared.launch("timer", "t-1")
        container = containers.one(docker_client, "t-1")
        ends = {
            "exit": lambda: container.kill("TERM"),  # noqa: B023
            "remove": lambda: container.remove(force=True),  # noqa: B023
            "kill": lambda: container.kill("KILL"),  # noqa: B023
        }
        with ThreadPoolExecutor(1) as pool:
            end = pool.submit(ends[how])
            assert Response() == shared.kill("t-1")
            end.exception()  # it may have come too late
        eventually(shared.is_idle)
        assert [] == containers.everything(docker_client)
