"""The history as operators and the person on call meet it: a file, a real Engine, real faults."""

import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from service._generated.area_types_pb2 import Response
from service._generated.supervisor.v1.observer_pb2 import GetJobRequest, Job, ListJobsRequest
from tests.conftest import Start
from tests.support import mounts
from tests.support.supervised import Supervised, eventually

pytestmark = pytest.mark.timeout(120)


def job(supervised: Supervised, identifier: str) -> Job | None:
    """What GetJob says of a job that has ended."""
    found = supervised.observer.GetJob(GetJobRequest(identifier=identifier), timeout=10)
    return found if found.state == "gone" else None


def ended(supervised: Supervised) -> Sequence[str]:
    """The identifiers of the history, newest first."""
    answer = supervised.observer.ListJobs(ListJobsRequest(include="ended"), timeout=10)
    return [each.identifier for each in answer.jobs]


def run(supervised: Supervised, identifier: str, **params: str) -> Job:
    """Launch a job that ends by itself, and wait for its end."""
    # The Engine may note the end of what ends at once a little before its start.
    params = {"exit": "0", "after": "0.2"} | params
    assert Response() == supervised.launch("webhook", identifier, params)
    found = eventually(lambda: job(supervised, identifier))
    assert found
    return found


def test_what_has_ended_is_found_after_sigkill_and_sigterm(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    supervised = start(HISTORY_FILE=str(path))
    before = run(supervised, "failed", exit="3", say="all is lost")
    assert ("error", 3, "webhook", "action") == (
        before.outcome,
        before.exit_code,
        before.name,
        before.kind,
    )
    assert "all is lost" in before.last_lines
    assert before.created.seconds <= before.started.seconds <= before.ended.seconds
    assert Response() == supervised.launch("timer", "killed")
    assert Response() == supervised.kill("killed")
    eventually(lambda: supervised.metric("supervisor_history_jobs", place="file") == 2)
    supervised.stop(signal.SIGKILL)
    supervised.start()
    assert before == job(supervised, "failed")
    assert ["killed", "failed"] == ended(supervised)
    assert Response() == supervised.launch("timer", "left")  # which the next start removes
    run(supervised, "last")  # it is not in the file yet
    assert 0 == supervised.stop()
    supervised.start()
    assert ["left", "last", "killed", "failed"] == ended(supervised)
    left = job(supervised, "left")
    assert left
    assert "killed" == left.outcome
    assert left.created.seconds <= left.started.seconds <= left.ended.seconds
    killed = job(supervised, "killed")
    assert killed
    assert "killed" == killed.outcome
    assert killed.killed_by.peer
    assert not list(supervised.events("history.lost"))
    assert 0o600 == path.stat().st_mode & 0o777


def test_without_a_file_the_history_is_in_memory_and_that_is_said(start: Start) -> None:
    supervised = start()
    [said] = supervised.events("history.in_memory")
    assert (10_000, "info") == (said["most"], said["level"])
    run(supervised, "one")
    assert ["one"] == ended(supervised)
    assert 1 == supervised.metric("supervisor_history_jobs", place="memory")
    assert 0 == supervised.metric("supervisor_history_bytes")
    supervised.stop()
    supervised.start()
    assert [] == ended(supervised)


def test_a_full_disk_harms_no_job_and_is_over_once_there_is_room(
    start: Start, tmp_path: Path
) -> None:
    with mounts.a_disk(tmp_path / "disk", kib=256) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 256 * 1024)
        supervised = start(HISTORY_FILE=str(disk / "history.sqlite"))
        eventually(lambda: supervised.metric("supervisor_history_fault", reason="full"))
        assert "SERVING" == supervised.health()
        run(supervised, "meanwhile", exit="1")
        assert Response() == supervised.launch("timer", "long")
        assert Response() == supervised.kill("long")
        assert ["long", "meanwhile"] == ended(supervised)
        ballast.unlink()
        eventually(lambda: not supervised.metric("supervisor_history_fault"), within=20)
        eventually(lambda: supervised.metric("supervisor_history_jobs", place="file") == 2)
        [failed], [recovered] = map(list, map(supervised.events, _TOLD))
        assert ("full", "warning") == (failed["reason"], failed["level"])
        assert recovered["path"] == failed["path"]
        assert 0 == supervised.stop()


_TOLD = ("history.failed", "history.recovered")


def test_a_second_supervisor_leaves_the_file_to_the_first(start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "history.sqlite")
    first = start(HISTORY_FILE=path, SUPERVISOR_INSTANCE="first")
    second = start(HISTORY_FILE=path, SUPERVISOR_INSTANCE="second")
    eventually(lambda: second.metric("supervisor_history_fault", reason="locked"))
    run(first, "of-the-first")
    run(second, "of-the-second")
    assert ["of-the-second"] == ended(second)
    assert ["of-the-first"] == ended(first)
    first.stop()
    eventually(lambda: not second.metric("supervisor_history_fault"), within=20)
    eventually(lambda: second.metric("supervisor_history_jobs", place="file") == 2)


def test_a_file_that_cannot_be_keeps_no_supervisor_from_its_work(start: Start) -> None:
    supervised = start(HISTORY_FILE="nowhere/history.sqlite")
    run(supervised, "one")
    assert ["one"] == ended(supervised)
    [failed] = supervised.events("history.failed")
    assert failed["helps"]
    assert 0 == supervised.stop()
    [lost] = supervised.events("history.lost")
    assert 1 == lost["jobs"]


def test_no_credential_is_in_the_file(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    supervised = start(HISTORY_FILE=str(path))
    params, auth = {"exit": "1", "say": "it is t0k-3n-of-mine"}, {"token": "t0k-3n-of-mine"}
    assert Response() == supervised.launch("webhook", "careless", params, auth)
    eventually(lambda: job(supervised, "careless"))
    assert 0 == supervised.stop()
    assert b"t0k-3n-of-mine" not in path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        [(said,)] = connection.execute("SELECT last_lines FROM ended")
    assert "[redacted]" in said
