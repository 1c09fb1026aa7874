"""The command line, on a real supervisor."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import docker
import pytest

from tests.support import containers
from tests.support.command_line import Ran, run
from tests.support.supervised import COMMAND, Supervised, eventually

Command = Callable[..., Ran]
_SECONDS = 30


@pytest.fixture
def area(shared: Supervised) -> Command:
    """Runs a command on the module's supervisor."""
    return lambda *arguments, **more: run(
        *arguments, AREA_SUPERVISOR_SERVER=address(shared), **more
    )


def address(supervised: Supervised) -> str:
    return f"localhost:{supervised.port}"


@contextmanager
def begin(supervised: Supervised, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process, which ends with the block."""
    command = [COMMAND, "--server", address(supervised), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def loads(ran: Ran) -> Any:
    assert (0, "") == (ran.code, ran.err)
    return json.loads(ran.out)


def test_a_job_is_seen_from_its_launch_to_its_end(area: Command) -> None:
    launched = area("launch", "timer", "t 1", "-p", "say=hello")
    assert 0 == launched.code
    words, _, launch_id = launched.out.strip().rpartition(": ")
    assert "t 1 launched" == words
    (job,) = loads(area("jobs", "-o", "json"))
    assert ("t 1", "timer", "running", launch_id, None) == (
        job["identifier"],
        job["name"],
        job["state"],
        job["launch_id"],
        job["exit_code"],
    )
    assert job == loads(area("describe", "t 1", "-o", "json"))
    assert job == loads(area("describe", launch_id, "-o", "json"))
    assert "t 1 killed\n" == area("kill", "t 1").out
    assert [] == loads(area("jobs", "-o", "json"))


def test_a_second_launch_of_an_action_is_told(area: Command) -> None:
    first = area("launch", "timer", "t-1").out
    assert first.replace("launched", "runs already") == area("launch", "timer", "t-1").out
    assert 1 == len(loads(area("jobs", "-o", "json")))


def test_what_a_supervisor_refuses_is_an_exit_1(area: Command) -> None:
    unknown = area("launch", "tiemr", "t-1")
    assert (1, "") == (unknown.code, unknown.out)
    assert "t-1 was not launched (404): name: 'tiemr' is not a job of the catalogue" in unknown.err
    assert "(422)" in area("launch", "missing", "m-1").err
    assert "(400)" in area("launch", "timer", " ").err


def test_what_is_not_known_is_an_exit_3(area: Command) -> None:
    for command in (["describe", "nope"], ["kill", "nope"], ["trace", "0123456789abcdef"]):
        ran = area(*command)
        assert (3, "", 1) == (ran.code, ran.out, len(ran.err.splitlines())), command


def test_a_filter_that_cannot_be_meant_is_an_exit_2(area: Command) -> None:
    ran = area("jobs", "--state", "runing")
    assert (2, "") == (ran.code, ran.out)
    assert "state" in ran.err
    assert "running" in ran.err


def test_kill_all_kills_all(area: Command) -> None:
    for number in range(3):
        area("launch", "timer", f"t-{number}")
    assert (1, "") == ((no := area("kill-all", stdin="n\n")).code, no.out)
    assert 3 == len(loads(area("jobs", "-o", "json", "--name", "tim*")))
    assert "3 jobs killed\n" == area("kill-all", "--yes").out
    assert [] == loads(area("jobs", "-o", "json"))


def test_an_identifier_that_could_break_a_terminal_cannot(area: Command) -> None:
    evil = "t\x1b]0;title\x07\n\u202e"
    area("launch", "timer", evil)
    for output in ("table", "wide", "name", "json", "yaml"):
        assert area("jobs", "-o", output).out.replace("\n", "").isprintable()
    assert evil == loads(area("describe", evil, "-o", "json"))["identifier"]
    assert 0 == area("kill", evil).code


# What has ended


def test_why_a_job_has_failed_is_found_in_one_command(area: Command) -> None:
    launched = area("launch", "webhook", "w-1", "-p", "say=disk is full", "-p", "exit=3")
    eventually(lambda: not loads(area("jobs", "-o", "json")))
    (job,) = loads(area("history", "-o", "json", "--identifier", "w-1", "-n", "1"))
    assert ("error", 3, "gone") == (job["outcome"], job["exit_code"], job["state"])
    assert "disk is full" in job["last_lines"]
    assert launched.out.endswith(f"{job['launch_id']}\n")
    assert job == loads(area("describe", "w-1", "-o", "json"))
    assert "disk is full" in area("describe", "w-1").out
    assert ["w-1", "webhook", "error", "(3)"] == area("history").out.splitlines()[1].split()[:4]
    assert "w-1 had ended already\n" == area("kill", "w-1").out
    assert 0 == len(loads(area("history", "-o", "json", "--outcome", "oom")))


def test_what_has_failed_lately_is_found_whenever_it_was_launched(
    area: Command, docker_client: docker.DockerClient
) -> None:
    area("launch", "timer", "t-old")
    launched = datetime.now(UTC).isoformat()
    containers.one(docker_client, "t-old").kill()
    area("launch", "webhook", "w-well", "-p", "exit=0", "--wait")
    lately = ("history", "-o", "name", "--since", launched)
    eventually(lambda: {"t-old", "w-well"} == set(area(*lately).out.splitlines()))
    assert "t-old\n" == area(*lately, "--failed").out
    assert "w-well\n" == area("jobs", "-a", "-o", "name", "--since", launched).out
    now = datetime.now(UTC).isoformat()
    assert "" == area("history", "-o", "name", "--since", now).out


# Waits and streams


def test_launch_prints_what_the_job_writes(area: Command) -> None:
    ran = area(
        "launch",
        "webhook",
        "w-3",
        *["-p", "after=0.5", "-p", "say=hello", "-p", "exit=0", "--logs"],
    )
    assert 0 == ran.code
    assert "hello" in ran.out.splitlines()
    assert "launched" not in ran.out
    assert "has ended: success" in ran.err


def test_logs_follow_a_job_to_its_end(area: Command, shared: Supervised) -> None:
    area("launch", "timer", "t-1", "-p", "say=hello")
    with begin(shared, "logs", "-f", "t-1") as process:
        assert process.stdout is not None
        eventually(lambda: "hello\n" == process.stdout.readline())  # type: ignore[union-attr]
        assert 1 == len(area("logs", "t-1", "--tail", "1").out.splitlines())
        area("kill", "t-1")
        _, err = process.communicate(timeout=_SECONDS)
    assert (0, "") == (process.returncode, err)


def test_top_shows_what_jobs_use(area: Command) -> None:
    area("launch", "small", "s-1")
    titles, row = area("top").out.splitlines()
    assert titles.startswith("IDENTIFIER")
    assert ["s-1", "small"] == row.split()[:2]
    assert "16.0 MiB" in row


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 1)])
def test_launch_waits_and_its_exit_code_says_how_the_job_has_ended(
    code: int, expected: int, area: Command
) -> None:
    ran = area("launch", "webhook", "w-2", "-p", f"exit={code}", "-p", "after=0.5", "--wait")
    assert expected == ran.code
    assert ("success" if code == 0 else "error (3)") in ran.out.splitlines()[1]


def test_a_watch_tells_a_job_from_its_launch_to_its_end(area: Command, shared: Supervised) -> None:
    area("launch", "timer", "t-1")
    with begin(shared, "jobs", "-w", "-o", "json") as process:
        assert process.stdout is not None
        assert "t-1" == json.loads(process.stdout.readline())["identifier"]
        area("launch", "webhook", "w-4", "-p", "exit=3", "-p", "after=0.2")
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["state"] != "gone":
            seen.append(json.loads(process.stdout.readline()))
    assert "starting" == seen[0]["state"]
    assert "running" in [job["state"] for job in seen]
    assert ("error", 3) == (seen[-1]["outcome"], seen[-1]["exit_code"])
    assert seen[-1] == loads(area("describe", "w-4", "-o", "json"))


# Steering


def test_a_cordon_refuses_launches_with_its_reason_until_it_ends(area: Command) -> None:
    try:
        assert 0 == area("cordon", "new disk").code
        refused = area("launch", "timer", "t-1")
        assert 1 == refused.code
        assert "(503)" in refused.err
        assert "new disk" in refused.err
    finally:
        assert 0 == area("uncordon").code
    assert 0 == area("launch", "timer", "t-1").code
