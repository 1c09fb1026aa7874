"""Jobs and images with a limit, and launches that wait for room, on a real Engine."""

import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
import grpc
import pytest

from service._generated.area_supervisor_pb2 import JobId
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import worker
from tests.support.agreement import agree, settled
from tests.support.supervised import Supervised, eventually, launch_request

_IMAGE = worker.IMAGE
_OTHER = "supervisor-test-other:1"  # which is the same
_CATALOG = f"""
[images]
"{_OTHER}" = {{ max_running = 2 }}

[jobs]
one = {{ kind = "action", image = "{_OTHER}", when_full = "wait" }}
other = {{ kind = "reaction", image = "{_OTHER}" }}
timer = {{ kind = "action", image = "{_IMAGE}", max_running = 2, when_full = "wait" }}
mail = {{ kind = "reaction", image = "{_IMAGE}", when_full = "wait" }}
urgent = {{ kind = "action", image = "{_IMAGE}", when_full = "wait", priority = 10 }}
hasty = {{ kind = "action", image = "{_IMAGE}", max_running = 1 }}
"""
_WAITING = "supervisor_launches_waiting"


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    path = tmp_path / "limited.toml"
    path.write_text(_CATALOG)
    return path


def _begin(
    supervised: Supervised, name: str, identifier: str, params: Mapping[str, Any] | None = None
) -> "grpc.Future[Response]":
    request = launch_request(name, identifier, params)
    return supervised.stub.LaunchJob.future(request, timeout=120)


def _retry_after(call: Any) -> str | None:
    trailing: Mapping[str, str] = dict(call.trailing_metadata())
    return trailing.get("retry-after")


def _wait_for(supervised: Supervised, waiting: int) -> None:
    eventually(lambda: waiting == supervised.metric(_WAITING, queue="room"))


def test_a_launch_waits_for_the_end_of_another_job_and_a_kill_takes_it_out(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1")
    assert Response() == supervised.launch("timer", "t-2")
    waits, killed = _begin(supervised, "timer", "t-3"), _begin(supervised, "timer", "t-4")
    joined = _begin(supervised, "timer", "t-4")
    _wait_for(supervised, 2)
    assert {"t-1": "running", "t-2": "running", "t-3": "starting", "t-4": "starting"} == {
        job.identifier: job.status for job in supervised.jobs()
    }
    assert Response() == supervised.launch("hasty", "h-1")  # which has a limit of its own
    assert Response() == supervised.kill("t-4")
    assert (499, 499) == (killed.result().error.code, joined.result().error.code)
    assert not waits.done()
    assert Response() == supervised.kill("t-1")
    assert Response() == waits.result()
    agree(supervised, docker_client, "h-1", "t-2", "t-3")
    assert 0 == supervised.metric(_WAITING)
    assert 2 == supervised.metric("supervisor_launch_wait_duration_seconds_count", queue="room")
    assert {"timer: 2 run, and its max_running = 2 allows no more"} == {
        event["limit"] for event in supervised.events("launch.waiting")
    }


def test_the_jobs_of_an_image_share_its_limit(
    start: Start, docker_client: docker.DockerClient
) -> None:
    repository, tag = _OTHER.split(":")
    docker_client.images.get(_IMAGE).tag(repository, tag)
    supervised = start()
    assert Response() == supervised.launch("one", "o-1")
    assert Response() == supervised.launch("other", "r-1")
    refused = supervised.launch("other", "r-2")
    assert (429, f"image {_OTHER}: 2 run, and its max_running = 2 allows no more") == (
        refused.error.code,
        refused.error.message,
    )
    waits = _begin(supervised, "one", "o-2")
    _wait_for(supervised, 1)
    assert Response() == supervised.launch("timer", "t-1")
    assert Response() == supervised.kill("r-1")
    assert Response() == waits.result()
    agree(supervised, docker_client, "o-1", "o-2", "t-1")


def test_what_is_refused_is_told_when_to_come_back(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(WAIT_SECONDS="0.5")
    call = supervised.stub.LaunchJob.with_call
    for name, identifier in (("hasty", "hasty-0"), ("timer", "timer-0"), ("timer", "timer-1")):
        answer, told = call(launch_request(name, identifier), timeout=60)
        assert (Response(), None) == (answer, _retry_after(told))
    answer, told = call(launch_request("hasty", "hasty-9"), timeout=60)
    assert ((429, "5"), "hasty: 1 run, and its max_running = 1 allows no more") == (
        (answer.error.code, _retry_after(told)),
        answer.error.message,
    )
    answer, told = call(launch_request("timer", "timer-9"), timeout=60)
    assert (429, "5") == (answer.error.code, _retry_after(told))
    assert answer.error.message.endswith("its max_running = 2 allows no more; waited 0.5 s")
    agree(supervised, docker_client, "hasty-0", "timer-0", "timer-1")


def test_a_flood_of_one_job_does_not_starve_another(start: Start) -> None:
    supervised = start(MAX_RUNNING_JOBS="1")
    assert Response() == supervised.launch("timer", "t-1")
    flood = [_begin(supervised, "mail", f"m-{number}", {"exit": 0}) for number in range(1000)]
    _wait_for(supervised, 1000)
    one, urgent = _begin(supervised, "timer", "t-2"), _begin(supervised, "urgent", "u-1")
    _wait_for(supervised, 1002)
    assert Response() == supervised.kill("t-1")
    assert Response() == urgent.result()
    assert 0 == supervised.metric("supervisor_launches_total", job_name="mail")
    assert Response() == supervised.kill("u-1")
    assert Response() == one.result()
    assert 1 >= supervised.metric("supervisor_launches_total", job_name="mail")
    assert Response() == supervised.kill_all()
    codes = Counter(each.result().error.code for each in flood)
    assert {0, 499} == codes.keys()
    assert codes[499] >= 990
    eventually(supervised.is_idle, within=30)
    assert 0 == supervised.metric(_WAITING)


def test_a_sigterm_answers_what_waits_and_what_runs_goes_on_and_counts(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(SUPERVISOR_ON_START="adopt")
    for identifier in ("t-1", "t-2"):
        assert Response() == supervised.launch("timer", identifier)
    waits = [_begin(supervised, "timer", f"t-{number}") for number in range(3, 20)]
    _wait_for(supervised, 17)
    assert 0 == supervised.stop()
    assert {503: 17} == Counter(each.result().error.code for each in waits)
    assert {"5"} == {_retry_after(each) for each in waits}
    supervised.start()
    agree(supervised, docker_client, "t-1", "t-2")
    again = _begin(supervised, "timer", "t-3")
    _wait_for(supervised, 1)
    assert Response() == supervised.kill("t-2")
    assert Response() == again.result()
    agree(supervised, docker_client, "t-1", "t-3")


def test_a_sigkill_while_launches_wait_leaves_what_ran_and_no_more_than_may(
    start: Start, docker_client: docker.DockerClient
) -> None:
    """Also if it comes while room is given to one of them."""
    supervised = start(SUPERVISOR_ON_START="adopt", ORPHAN_GRACE_SECONDS="0")
    for identifier in ("t-1", "t-2"):
        assert Response() == supervised.launch("timer", identifier)
    waits = [_begin(supervised, "timer", f"t-{number}") for number in range(3, 6)]
    _wait_for(supervised, 3)
    killing = supervised.stub.KillJob.future
    end = killing(JobId(identifier="t-1"), timeout=60)
    eventually(lambda: "t-1" not in supervised.running() or end.done())
    supervised.stop(signal.SIGKILL)
    assert all(each.exception() is not None or each.result() == Response() for each in waits)
    supervised.start()
    running = settled(supervised, docker_client)
    assert "t-2" in running
    assert len(running) <= 2
    last = _begin(supervised, "timer", "t-9")
    if 2 == len(running):
        _wait_for(supervised, 1)
        assert Response() == supervised.kill("t-2")
        running.remove("t-2")
    assert Response() == last.result()
    agree(supervised, docker_client, *running, "t-9")
