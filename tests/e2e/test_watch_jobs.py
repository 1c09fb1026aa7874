"""WatchJobs of a supervisor in a process of its own, for clients that come and go."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from service._generated.supervisor.v1.observer_pb2 import ListJobsRequest, WatchJobsRequest
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub
from tests.conftest import Start
from tests.support.supervised import Supervised, eventually
from tests.support.watcher import Watcher

_OPEN = "supervisor_watches_open"


@pytest.fixture
def watched(start: Start) -> Iterator[tuple[Supervised, Watcher]]:
    supervised = start(SUPERVISOR_ON_START="adopt", JOB_STOP_GRACE_SECONDS="1")
    with Watcher(supervised.port) as watcher:
        eventually(lambda: watcher.follower.token)
        yield supervised, watcher


def _listed(supervised: Supervised) -> dict[str, Any]:
    stub = JobObserverStub(supervised.channel)
    return {job.launch_id: job for job in stub.ListJobs(ListJobsRequest(), timeout=10).jobs}


def test_a_client_is_told_everything_in_its_order_also_after_it_was_cut_off(
    watched: tuple[Supervised, Watcher],
) -> None:
    supervised, watcher = watched
    supervised.launch("timer", "t-1")
    eventually(lambda: watcher.states("t-1") == ["starting", "running"])
    eventually(lambda: _listed(supervised) == watcher.live)
    watcher.cut_off()
    supervised.kill("t-1")
    supervised.launch("webhook", "w-1", {"exit": 3})
    eventually(lambda: "gone" in watcher.states("w-1"))
    assert ["starting", "running", "stopping", "gone"] == watcher.states("t-1")
    killed, failed = (job for job in watcher.changes if job.state == "gone")
    assert ("t-1", "killed") == (killed.identifier, killed.outcome)
    assert ("w-1", "error", 3) == (failed.identifier, failed.outcome, failed.exit_code)
    eventually(lambda: _listed(supervised) == watcher.live == {})
    assert 0 == watcher.follower.gaps


def test_after_a_sigkill_of_the_supervisor_there_is_a_gap_and_then_nothing_is_missing(
    watched: tuple[Supervised, Watcher],
) -> None:
    supervised, watcher = watched
    for identifier in ("t-1", "t-2"):
        supervised.launch("timer", identifier)
    eventually(lambda: len(watcher.live) == 2)
    supervised.stop(signal.SIGKILL)
    supervised.start()
    supervised.kill("t-1")
    eventually(lambda: watcher.follower.gaps == 1)
    eventually(lambda: watcher.live == _listed(supervised))
    assert ["t-2"] == [job.identifier for job in watcher.live.values()]
    assert [] == watcher.wrong


def test_a_stop_ends_the_watches_at_once_and_says_so(watched: tuple[Supervised, Watcher]) -> None:
    supervised, _ = watched
    watch: Any = JobObserverStub(supervised.channel).WatchJobs(WatchJobsRequest(), timeout=60)
    next(watch)
    assert 0 == supervised.stop(within=5)
    with pytest.raises(grpc.RpcError):
        next(watch)
    assert grpc.StatusCode.UNAVAILABLE is watch.code()
    assert "the supervisor is stopping" in watch.details()


def test_the_example_follows_jobs_and_nothing_is_left_of_it_once_it_is_killed(
    watched: tuple[Supervised, Watcher],
) -> None:
    supervised, _ = watched
    assert 1 == supervised.metric(_OPEN)
    command = [sys.executable, "-m", "examples.clients.watch", f"127.0.0.1:{supervised.port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as example:
        assert example.stdout is not None
        assert "0 live\n" == example.stdout.readline()
        assert 2 == supervised.metric(_OPEN)
        supervised.launch("timer", "t-1")
        supervised.kill("t-1")
        lines = [example.stdout.readline() for _ in range(4)]
        supervised.stop(signal.SIGKILL)
        supervised.start()
        lines += [example.stdout.readline() for _ in range(2)]
        eventually(lambda: supervised.metric(_OPEN) == 2)
        example.kill()
    told = ["starting", "running", "stopping", "killed"]
    assert [*(f"t-1: {each}\n" for each in told), "some changes are missing\n", "0 live\n"] == lines
    eventually(lambda: supervised.metric(_OPEN) == 1)
