"""A launch whose program does not begin to run is an error with the reason, and leaves nothing."""

from pathlib import Path

import docker
import pytest

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import broken, worker
from tests.support.agreement import agree, exits
from tests.support.broken import entrypoint
from tests.support.http_line import Fault, HttpLine, requests
from tests.support.supervised import Supervised, eventually, launch_request

_IMAGE = "supervisor-test-odd"
_ENDLESS = (0o755, b"#!/bin/sh\nwhile :; do /bin/busybox sleep 1; done\n")
_CATALOG = f"""
[jobs]
timer = {{ kind = "action", image = "{worker.IMAGE}" }}
mail = {{ kind = "reaction", image = "{worker.IMAGE}" }}
broken = {{ kind = "action", image = "{worker.BROKEN}" }}
broken-mail = {{ kind = "reaction", image = "{worker.BROKEN}" }}
odd = {{ kind = "action", image = "{_IMAGE}" }}
alone = {{ kind = "action", image = "{worker.IMAGE}", pids = 1 }}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Jobs that cannot run, among others."""
    path = tmp_path / "catalog.toml"
    path.write_text(_CATALOG)
    return path


def _failures(supervised: Supervised) -> float:
    return supervised.metric("supervisor_failures_total", operation="launch")


def test_a_program_that_cannot_be_run_is_a_502_with_the_reason_and_leaves_nothing(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    for name in ("broken", "broken-mail", "broken"):
        error = supervised.launch(name, "b-1", auth={"token": "s3cret"}).error
        assert 502 == error.code
        assert "exec /nope failed: No such file or directory" in error.message
        assert "s3cret" not in error.message
        agree(supervised, docker_client)
    assert 3 == _failures(supervised)
    assert 3 == supervised.metric("supervisor_failures_total", reason="engine_refused")
    assert {} == exits(supervised)
    assert 0 == supervised.metric("supervisor_launches_total")
    assert [] == list(supervised.events("job.exited"))
    assert Response() == supervised.launch("timer", "b-1")  # its identifier is free
    agree(supervised, docker_client, "b-1")


def test_what_has_begun_is_a_success_and_runs_once_however_soon_it_ends(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    for number, code in enumerate((127, 0, 126, 1)):
        assert Response() == supervised.launch("mail", f"m-{number}", {"exit": code})
    eventually(lambda: {"success": 1, "error": 3} == exits(supervised))
    assert 4 == supervised.metric("supervisor_launches_total")
    assert 0 == _failures(supervised)
    agree(supervised, docker_client)


def test_an_image_that_is_built_anew_is_found_out_at_its_first_launch(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    broken.make(docker_client, _IMAGE, entrypoint("/run.sh"), files={"run.sh": _ENDLESS})
    assert Response() == supervised.launch("odd", "o-1")
    broken.make(docker_client, _IMAGE, entrypoint("/run.sh"))
    assert Response() == supervised.launch("mail", "m-1", {"exit": 0})
    eventually(lambda: {"success": 1} == exits(supervised))  # an event that comes after the image's
    error = supervised.launch("odd", "o-2").error
    assert (502, True) == (error.code, "exec /run.sh failed" in error.message)
    assert {"success": 1} == exits(supervised)
    agree(supervised, docker_client, "o-1")


def test_what_the_engine_refuses_to_start_is_told_in_its_words(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    broken.make(docker_client, _IMAGE, entrypoint("/bin/sh"), "USER nobody-there")
    error = supervised.launch("odd", "o-1").error
    assert (502, True) == (error.code, "unable to find user nobody-there" in error.message)
    agree(supervised, docker_client)


def test_one_process_is_too_few_as_the_start_and_the_launch_say(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start()
    (warning,) = supervised.events("catalog.too_few_pids")
    assert "alone" == warning["job"]
    error = supervised.launch("alone", "a-1").error
    assert (502, True) == (error.code, "pids = 1 has to leave room" in error.message), error
    agree(supervised, docker_client)


def test_only_the_first_launch_of_an_image_is_looked_at(start: Start) -> None:
    supervised = start()

    def looks() -> float:
        name = "supervisor_engine_operation_duration_seconds_count"
        return supervised.metric(name, operation="top")

    assert Response() == supervised.launch("timer", "t-0")
    first = looks()
    assert first >= 1
    for number in range(1, 4):
        assert Response() == supervised.launch("timer", f"t-{number}")
    assert first == looks()


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST])
def test_an_engine_that_does_not_list_processes_costs_a_launch_a_moment(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient, fault: Fault
) -> None:
    supervised = start(DOCKER_HOST=meddled.host, LAUNCH_TIMEOUT_SECONDS="10")
    meddled.meddle = requests("GET", "/top", fault)
    assert Response() == supervised.launch("timer", "t-1")
    assert meddled.faults[fault]
    agree(supervised, docker_client, "t-1")
    if fault is Fault.REFUSED:
        # A busy machine may take longer to say so; the launch after that end asks again.
        eventually(lambda: 502 == supervised.launch("broken", "b-1").error.code, within=30)
        agree(supervised, docker_client, "t-1")


def test_a_kill_while_it_is_looked_at_waits_for_the_look(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    meddled.meddle = requests("GET", "/top", Fault.LOST)
    launch = supervised.stub.LaunchJob.future(launch_request("timer", "t-1"), timeout=60)
    eventually(lambda: meddled.faults[Fault.LOST])
    assert ["t-1"] == supervised.running()
    assert Response() == supervised.kill("t-1")
    assert Response() == launch.result()
    agree(supervised, docker_client)
    assert {"killed": 1} == exits(supervised)
