"""Production removes what has exited and tells why; development keeps it, under counted names."""

from collections.abc import Mapping
from typing import Any

import docker

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.stubborn import a_stubborn_one
from tests.support.supervised import Supervised, eventually


def _exited(supervised: Supervised) -> dict[str, dict[str, Any]]:
    """What the log says of each end, by identifier."""
    return {event["identifier"]: event for event in supervised.events("job.exited")}


def _told(event: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(event[key] for key in ("outcome", "exit_code", "oom_killed", "level"))


def _names(client: docker.DockerClient) -> list[str]:
    return sorted(str(container.name) for container in containers.everything(client))


# ---------------------------------------------------------------- production


def test_production_removes_what_has_exited_and_logs_why(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(GO_ENV="production")
    ends: dict[str, tuple[str, Mapping[str, Any]]] = {
        "success": ("webhook", {"exit": 0}),
        "reaction": ("mail", {"exit": 0}),
        "ended": ("timer", {"exit": 0}),
        "error": ("timer", {"exit": 3}),
        "oom": ("small", {"after": 1, "eat": 1}),
    }
    for identifier, (name, params) in ends.items():
        assert Response() == supervised.launch(name, identifier, params)
    eventually(supervised.is_idle, within=30)
    assert [] == containers.everything(docker_client)
    events = _exited(supervised)
    assert {
        "success": ("success", 0, False, "info"),
        "reaction": ("success", 0, False, "info"),
        "ended": ("ended", 0, False, "warning"),
        "error": ("error", 3, False, "warning"),
        "oom": ("oom", events["oom"]["exit_code"], True, "warning"),
    } == {identifier: _told(event) for identifier, event in events.items()}
    assert 0 != events["oom"]["exit_code"]
    assert {"ended", "error", "oom"} == {i for i, event in events.items() if "output" in event}
    assert "argument: --exit" in events["error"]["output"]
    assert {identifier: name for identifier, (name, _) in ends.items()} == {
        identifier: event["job"] for identifier, event in events.items()
    }
    assert all(event["seconds"] >= 0 for event in events.values()), events


def test_the_last_lines_of_a_failed_job_are_in_the_log(start: Start) -> None:
    supervised = start(GO_ENV="production")
    printed = [f"line {number}" for number in range(300)]
    params = {"say": "\n".join(printed), "exit": 1}
    assert Response() == supervised.launch("timer", "talks", params)
    eventually(lambda: "talks" in _exited(supervised))
    lines = [line for line in _exited(supervised)["talks"]["output"] if "traceparent" not in line]
    assert 10 <= len(lines) < 100
    assert printed[-len(lines) :] == lines


def test_output_that_is_long_or_odd_is_cut_and_told(start: Start) -> None:
    supervised = start(GO_ENV="production")
    params = {"say": f"{'x' * 50_000}\n\x1b[31mred é🚀", "exit": 1}
    assert Response() == supervised.launch("timer", "talks", params)
    eventually(lambda: "talks" in _exited(supervised))
    output = _exited(supervised)["talks"]["output"]
    assert any("red é🚀" in line for line in output)
    assert all(len(line) < 5_000 for line in output)


def test_production_leaves_nothing_of_a_kill_and_logs_no_output(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(GO_ENV="production", JOB_STOP_GRACE_SECONDS="1")
    assert Response() == supervised.launch("timer", "gentle")
    a_stubborn_one(supervised, docker_client)
    assert Response() == supervised.kill("gentle")
    assert Response() == supervised.kill("stubborn")
    assert [] == containers.everything(docker_client)
    events = _exited(supervised)
    assert {
        "gentle": ("killed", 143, False, "info"),
        "stubborn": ("killed", 137, False, "info"),
    } == {identifier: _told(event) for identifier, event in events.items()}
    assert not any("output" in event for event in events.values())


def test_production_removes_what_a_stranger_has_killed(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(GO_ENV="production")
    assert Response() == supervised.launch("timer", "t-1")
    containers.one(docker_client, "t-1").kill("KILL")
    eventually(supervised.is_idle)
    assert [] == containers.everything(docker_client)
    assert ("error", 137, False, "warning") == _told(_exited(supervised)["t-1"])


# ---------------------------------------------------------------- development


def test_development_keeps_what_has_exited_and_relaunches_beside_it(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(GO_ENV="development")
    for round_ in (1, 2, 3):
        assert Response() == supervised.launch(
            "timer", "job", {"exit": 3, "say": f"round {round_}"}
        )
        eventually(supervised.is_idle)
    assert ["job-1", "job-2", "job-3"] == _names(docker_client)
    for round_ in (1, 2, 3):
        container = docker_client.containers.get(f"job-{round_}")
        assert ("exited", 3) == (container.status, container.attrs["State"]["ExitCode"])
        assert f"round {round_}\n".encode() in container.logs()
    events = list(supervised.events("job.exited"))
    assert [("error", 3, False, "warning")] * 3 == [_told(event) for event in events]
    assert all("output" in event for event in events)


def test_development_keeps_what_was_killed_and_relaunches_beside_it(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(GO_ENV="development", JOB_STOP_GRACE_SECONDS="1")
    for round_ in (1, 2):
        assert Response() == supervised.launch("timer", "job")
        assert Response() == supervised.launch("timer", "job")  # a dedup takes no name
        running = docker_client.containers.get(f"job-{round_}")
        assert "running" == running.status
        assert ["job"] == supervised.running() == containers.live(docker_client)
        assert Response() == supervised.kill("job")
        assert [] == supervised.jobs()
        running.reload()
        assert ("exited", 143) == (running.status, running.attrs["State"]["ExitCode"])
    assert ["job-1", "job-2"] == _names(docker_client)
    for _ in range(2):
        assert Response() == supervised.launch("mail", "reaction")
    assert 2 == len(supervised.jobs())
    assert Response() == supervised.kill_all()
    assert 4 == len(containers.everything(docker_client))
    assert [] == containers.live(docker_client)


def test_the_ends_of_older_containers_do_not_end_the_newer_job(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(GO_ENV="development", JOB_STOP_GRACE_SECONDS="1")
    for _ in range(2):
        assert Response() == supervised.launch("timer", "job")
        assert Response() == supervised.kill("job")
    assert Response() == supervised.launch("timer", "job")
    newest = docker_client.containers.get("job-3")
    for older in ("job-1", "job-2"):
        container = docker_client.containers.get(older)
        container.start()  # by hand, beside the job: it is one too many
        eventually(lambda c=container: not containers.runs(c))  # type: ignore[misc]
        container.remove()
    assert 2 == len(list(supervised.events("job.surplus")))
    assert [("job", "running")] == [(job.identifier, job.status) for job in supervised.jobs()]
    assert containers.runs(newest)
    assert 2 == supervised.metric("supervisor_exits_total")


def test_development_tells_of_a_success_without_output(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(GO_ENV="development")
    assert Response() == supervised.launch("webhook", "hook", {"exit": 0})
    eventually(lambda: "hook" in _exited(supervised))
    event = _exited(supervised)["hook"]
    assert ("success", 0, False, "info") == _told(event)
    assert "output" not in event
    assert ["hook-1"] == _names(docker_client)
