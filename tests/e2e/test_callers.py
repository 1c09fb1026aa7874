"""Who did this: the client of each launch, kill and refusal, in the log and on the spans."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from scripts import apt
from service._generated.area_supervisor_pb2 import JobId
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support.collector import Collector
from tests.support.supervised import Supervised, eventually, launch_request

_SERVICE = "area_supervisor.AreaSupervisorService"
_RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")
_42 = "timer-seconds-interval-42"  # as the runbook has it


@contextmanager
def _client(port: int, agent: str, host: str = "127.0.0.1") -> Iterator[Any]:
    """A client with a connection of its own, and what it calls itself."""
    options = [("grpc.primary_user_agent", agent), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"{host}:{port}", options) as channel:
        yield AreaSupervisorServiceStub(channel)


def _told(supervised: Supervised, event: str) -> list[tuple[str, str]]:
    """The hosts and the first words of the user agents that events of a name tell of."""
    told = list(supervised.events(event))
    for each in told:
        assert re.fullmatch(r"(127\.0\.0\.1|\[::1\]):\d+", each["peer"])
    return [(e["peer"].rpartition(":")[0], e["user_agent"].split()[0]) for e in told]


def test_launches_kills_and_refusals_name_their_clients(start: Start) -> None:
    supervised = start()
    with _client(supervised.port, "alice/1") as alice, _client(supervised.port, "bob/2") as bob:
        timer = launch_request("timer", "t-1")
        assert Response() == alice.LaunchJob(timer, timeout=60)
        assert Response() == bob.LaunchJob(timer, timeout=60)
        assert 404 == bob.LaunchJob(launch_request("unknown", "x"), timeout=60).error.code
        assert Response() == bob.KillJob(JobId(identifier="t-1"), timeout=60)
        assert Response() == alice.KillJob(JobId(identifier="t-1"), timeout=60)
        assert Response() == bob.LaunchJob(timer, timeout=60)
        assert Response() == alice.KillAllJobs(Empty(), timeout=60)
    by_alice, by_bob = ("127.0.0.1", "alice/1"), ("127.0.0.1", "bob/2")
    assert [by_alice, by_bob] == _told(supervised, "job.launched")
    assert [by_bob] == _told(supervised, "launch.dedup") == _told(supervised, "request.failed")
    assert [by_alice] == _told(supervised, "kill.not_running")
    assert [by_alice] == _told(supervised, "kill_all.started")
    assert [by_alice] == _told(supervised, "kill_all.ended")
    assert [by_bob, by_alice] == _told(supervised, "job.killed")
    assert [by_bob, by_alice] == _told(supervised, "job.exited")
    metrics = supervised.http("/metrics")[1]
    assert "127.0.0.1" not in metrics
    assert "alice" not in metrics


def test_an_end_by_itself_names_nobody(start: Start) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1", {"exit": 3})
    (exited,) = eventually(lambda: list(supervised.events("job.exited")))
    assert {"peer", "user_agent"}.isdisjoint(exited)


def _has_ipv6_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6_loopback(), reason="this machine has no IPv6 on its loopback")
def test_an_address_of_ipv6_is_told_as_people_write_it(start: Start) -> None:
    supervised = start(BIND_ADDRESS="::")
    for host in ("[::1]", "127.0.0.1"):
        with _client(supervised.port, "alice/1", host) as alice:
            assert Response() == alice.KillJob(JobId(identifier="x"), timeout=60)
    told = _told(supervised, "kill.not_running")
    assert [("[::1]", "alice/1"), ("127.0.0.1", "alice/1")] == told


# Spans


def test_the_spans_of_calls_and_the_life_of_a_killed_job_name_the_client(
    start: Start, collector: Collector
) -> None:
    supervised = start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, OTEL_BSP_SCHEDULE_DELAY="50")
    with _client(supervised.port, "alice/1") as alice, _client(supervised.port, "bob/2") as bob:
        assert Response() == alice.LaunchJob(launch_request("timer", "t-1"), timeout=60)
        assert Response() == bob.KillJob(JobId(identifier="t-1"), timeout=60)
    for method, agent in (("LaunchJob", "alice/1"), ("KillJob", "bob/2")):
        (call,) = eventually(lambda: collector.spans(f"/{_SERVICE}/{method}"))  # noqa: B023
        assert "127.0.0.1" == call.attributes["net.peer.ip"]
        assert call.attributes["net.peer.port"].isdigit()
        assert call.attributes["rpc.user_agent"].startswith(f"{agent} ")
    (life,) = eventually(lambda: collector.spans("job"))
    (killed,) = supervised.events("job.killed")
    assert killed["peer"] == life.attributes["supervisor.kill.peer"]
    assert killed["user_agent"] == life.attributes["supervisor.kill.user_agent"]


# The runbook


def test_the_runbooks_question_is_answered_by_its_commands(start: Start) -> None:
    apt.ensure("jq", "jq")
    supervised = start()
    with _client(supervised.port, "alice/1") as alice, _client(supervised.port, "bob/2") as bob:
        assert Response() == alice.LaunchJob(launch_request("timer", _42), timeout=60)
        assert 404 == bob.LaunchJob(launch_request("unknown", "x"), timeout=60).error.code
        assert Response() == bob.KillJob(JobId(identifier=_42), timeout=60)
        assert Response() == alice.LaunchJob(launch_request("timer", "t-1"), timeout=60)
        assert Response() == alice.KillAllJobs(Empty(), timeout=60)
    about_one, everything, refused = (_run(each, supervised) for each in _commands())
    assert [
        f"job.launched timer {_42}: alice/1",
        "request.failed unknown x: bob/2",
        f"job.killed timer {_42}: bob/2",
        "job.launched timer t-1: alice/1",
        "kill_all.started  : alice/1",
        "job.killed timer t-1: alice/1",
        "kill_all.ended  : alice/1",
    ] == [
        "".join(each)
        for each in re.findall(r"^\S+ (.*?: )127\.0\.0\.1:\d+ (\S+)", everything, re.MULTILINE)
    ]
    assert 3 == len(about_one.splitlines())
    assert ["1", "404", "launch", "unknown:", "127.0.0.1", "bob/2"] == refused.split()[:6]


def _commands() -> list[str]:
    """The commands of the section that read the log."""
    _, _, section = _RUNBOOK.partition("### Who launched it, who killed it?\n")
    return re.findall(r"^log \| .*$", section.partition("\n### ")[0], re.MULTILINE)


def _run(command: str, supervised: Supervised) -> str:
    """What a command prints where the log is a file."""
    supervised.log()
    script = f"log() {{ jq -cR 'fromjson?' {supervised.log_file}; }}\n{command}"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
