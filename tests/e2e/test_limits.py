"""A burst that waits its turn, a flood that is refused, and what goes through all the same."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import grpc
import pytest

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support.agreement import agree, exits
from tests.support.http_line import Fault, HttpLine, requests, untouched
from tests.support.supervised import Supervised, eventually, launch_request

_BURST_SECONDS = 280.0
# What answers at once takes milliseconds, on a machine that also runs all that is launched.
_AT_ONCE_SECONDS = 3.0
# What these requests may cost, if nothing of them is kept.
_MEMORY_KIB = 64 * 1024


def _memory(supervised: Supervised) -> int:
    """The memory of the process that is really there (KiB)."""
    assert supervised.process is not None
    status = Path(f"/proc/{supervised.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])


def _failed(launch: "grpc.Future[Response]") -> bool:
    return launch.done() and 0 != launch.result().error.code


@pytest.mark.timeout(400)
@pytest.mark.parametrize("burst", [150, 500])
def test_a_burst_waits_its_turn_and_loses_none(
    supervisor: Supervised, docker_client: docker.DockerClient, burst: int
) -> None:
    """All on one connection, health checks as well."""
    assert Response() == supervisor.launch("timer", "runs-already")
    before = _memory(supervisor)
    launches = [
        supervisor.stub.LaunchJob.future(
            launch_request("mail", f"m-{number}", {"exit": 0}), timeout=_BURST_SECONDS
        )
        for number in range(burst)
    ]
    eventually(lambda: burst + 1 == supervisor.calls("LaunchJob"), within=30)
    assert _in_progress(supervisor)[1] > burst // 5
    took = []
    while not all(launch.done() for launch in launches):
        began = time.monotonic()
        assert "SERVING" == supervisor.health()
        assert "SERVING" == supervisor.health("liveness")
        assert Response() == supervisor.launch("timer", "runs-already")
        took.append(time.monotonic() - began)
        assert [] == [launch.result().error for launch in launches if _failed(launch)]
        time.sleep(0.2)
    assert Counter({0: burst}) == Counter(launch.result().error.code for launch in launches)
    assert len(took) > 5
    assert max(took) < _AT_ONCE_SECONDS
    eventually(lambda: ["runs-already"] == supervisor.running(), within=60)
    agree(supervisor, docker_client, "runs-already")
    assert burst == supervisor.metric("supervisor_launches_total", job_name="mail")
    assert {"success": burst} == exits(supervisor)
    assert _memory(supervisor) - before < _MEMORY_KIB


def test_past_the_bound_a_launch_is_refused_at_once_and_the_rest_goes_through(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(
        DOCKER_HOST=meddled.host,
        MAX_LAUNCHES_UNDER_WAY="2",
        MAX_LAUNCHES_WAITING="3",
        LAUNCH_TIMEOUT_SECONDS="8",
    )
    for identifier in ("runs", "killed"):
        assert Response() == supervised.launch("timer", identifier)
    meddled.meddle = requests("POST", "/containers/create", Fault.LOST)
    with ThreadPoolExecutor(6) as pool:
        inside = [pool.submit(supervised.launch, "timer", f"t-{number}") for number in range(5)]
        eventually(lambda: (2, 3) == _in_progress(supervised))
        joined = pool.submit(supervised.launch, "timer", "t-0")  # it needs no place of its own
        began = time.monotonic()
        refused = supervised.launch("timer", "one-too-many")
        assert 429 == refused.error.code
        assert "MAX_LAUNCHES_WAITING=3" in refused.error.message
        assert Response() == supervised.launch("timer", "runs")
        assert Response() == supervised.kill("killed")
        assert "killed" not in supervised.running()
        assert "SERVING" == supervised.health()
        assert time.monotonic() - began < _AT_ONCE_SECONDS
        assert 0 == sum(call.done() for call in [*inside, joined])
        meddled.meddle = untouched
        codes = Counter(call.result().error.code for call in inside)
    assert {504: 2, 0: 3} == codes  # two were with the Engine, which did not answer
    assert 504 == joined.result().error.code or 0 == joined.result().error.code
    assert 1 == supervised.metric("supervisor_failures_total", reason="limit")
    assert (0, 0) == _in_progress(supervised)
    assert Response() == supervised.launch("timer", "one-too-many")
    agree(supervised, docker_client, *supervised.running())


def _in_progress(supervised: Supervised) -> tuple[float, float]:
    """Launches under way, and launches that wait."""
    name, scrape = "supervisor_launches_in_progress", supervised.scrape()
    return scrape.sum(name, state="under_way"), scrape.sum(name, state="waiting")


def test_a_launch_that_waits_is_dropped_at_its_clients_deadline_and_gives_its_place_back(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(
        DOCKER_HOST=meddled.host,
        MAX_LAUNCHES_UNDER_WAY="1",
        MAX_LAUNCHES_WAITING="1",
        LAUNCH_TIMEOUT_SECONDS="8",
    )
    meddled.meddle = requests("POST", "/containers/create", Fault.LOST)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(supervised.launch, "timer", "slow")
        eventually(lambda: meddled.faults[Fault.LOST])
        with pytest.raises(grpc.RpcError) as raised:
            supervised.launch("timer", "impatient", timeout=1)
        assert grpc.StatusCode.DEADLINE_EXCEEDED == raised.value.code()
        eventually(lambda: (1, 0) == _in_progress(supervised))
        assert ["slow"] == supervised.running()
        patient = pool.submit(supervised.launch, "timer", "patient")
        eventually(lambda: (1, 1) == _in_progress(supervised))
        assert 429 == supervised.launch("timer", "one-too-many").error.code
        meddled.meddle = untouched
        assert (504, 0) == (slow.result().error.code, patient.result().error.code)
    agree(supervised, docker_client, "patient")


def test_as_many_jobs_run_as_may_also_where_they_were_taken_over(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(MAX_RUNNING_JOBS="2", SUPERVISOR_ON_START="adopt")
    assert Response() == supervised.launch("timer", "t-1")
    assert Response() == supervised.launch("mail", "m-1")
    for _ in range(2):
        refused = supervised.launch("timer", "t-2")
        assert 429 == refused.error.code
        assert "MAX_RUNNING_JOBS=2" in refused.error.message
        assert Response() == supervised.launch("timer", "t-1")
        agree(supervised, docker_client, "m-1", "t-1")
        assert 0 == supervised.stop()
        supervised.start()
    assert Response() == supervised.kill("m-1")
    assert Response() == supervised.launch("timer", "t-2")
    agree(supervised, docker_client, "t-1", "t-2")
    assert 429 == supervised.launch("mail", "m-1").error.code
