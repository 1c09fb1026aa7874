import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from observability.callers import Caller
from observability.metrics import Metrics
from observability.redaction.redactor import Redactor
from service.access.clients import JobScope
from service.history import file as file_module
from service.history import queries, writer
from service.history.history import History
from service.jobs.model import Job, Outcome, State
from service.jobs.restart_policy import Restarts
from service.jobs.wanted import EVERY_JOB, Wanted
from service.settings import Settings
from tests.unit.history.conftest import Opens
from tests.unit.history.ends import an_end, eventually, free_pages, in_file, listed, names, written

# What is kept


FULL = an_end(
    1,
    started_at=1000.25,
    exit_code=3221225786,
    oom_killed=True,
    signal=9,
    restarts=Restarts(total=3),
    workload_id="c" * 64,
    workload_name="mail-7",
    node="worker-2",
    image="mail:1",
    image_digest="sha256:" + "d" * 64,
    traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    launched_by=Caller("10.0.0.1:5", "grpc-go/1.6", "backend"),
    killer=Caller("[::1]:6", "grpcurl", "operator"),
    last_lines="first\nÜñï\x00\tlast",
    outcome=Outcome.KILLED,
    ended_for="time_limit",
)


@pytest.mark.parametrize("job", [FULL, an_end(2), an_end(3, outcome=None, ended_at=None)])
async def test_a_job_is_found_as_it_was_before_and_after_it_is_written(
    opens: Opens, job: Job
) -> None:
    history = opens()
    history.add(job)
    assert job == await history.find(launch_id=job.launch_id)
    await written(history)
    assert job == await history.find(launch_id=job.launch_id)
    assert job == await history.find(identifier=job.identifier)


async def test_a_job_is_found_at_once(opens: Opens) -> None:
    history = opens()
    for number in range(500):  # some of them are being written meanwhile
        history.add(an_end(number))
        assert await history.find(launch_id=f"launch-{number}")


async def test_no_credential_is_kept(opens: Opens, path: Path, metrics: Metrics) -> None:
    job = an_end(1, redact=Redactor({"token": "s3cr3t-s3cr3t"}), digests={"auth": 7})
    memory = History(metrics, Settings())
    memory.add(job)
    [entry] = memory._kept.newest_first()
    assert (None, {}) == (entry.job.redact, entry.job.digests)
    history = opens()
    history.add(job)
    await written(history)
    assert b"s3cr3t" not in path.with_name(path.name + "-wal").read_bytes()


async def test_a_text_that_is_no_unicode_keeps_no_other_job_out(opens: Opens, path: Path) -> None:
    history = opens()
    history.add(an_end(1, last_lines="half \ud800"))
    history.add(an_end(2, exit_code=2**70))  # more than SQLite has room for
    history.add(an_end(3))
    await written(history)
    assert names([3, 1]) == in_file(path)
    found = await history.find(launch_id="launch-1")
    assert found
    assert "half ?" == found.last_lines


async def test_the_newest_end_of_an_identifier_is_found(opens: Opens) -> None:
    history = opens()
    for number in range(3):
        history.add(an_end(number, identifier="same"))
        await written(history)
    history.add(an_end(1, identifier="same", exit_code=7))  # somebody had started it again
    for _ in range(2):
        found = await history.find(identifier="same")
        assert found
        assert ("launch-1", 7) == (found.launch_id, found.exit_code)
        assert names([1, 2, 0]) == await listed(history)
        await written(history)


async def test_what_a_client_may_not_see_is_not_found(opens: Opens) -> None:
    history = opens()
    for number in range(4):
        history.add(an_end(number, identifier="same"))
    mail = JobScope(["ma?l"])
    for _ in range(2):
        found = await history.find(identifier="same", scope=mail)
        assert found
        assert "launch-3" == found.launch_id
        assert await history.find(launch_id="launch-2", scope=mail) is None
        page = await history.page(EVERY_JOB, before=None, most=9, scope=mail)
        assert names([3, 1]) == [entry.job.launch_id for entry in page]
        await written(history)


async def test_the_file_is_for_its_owner_only(opens: Opens, path: Path) -> None:
    before = os.umask(0)
    try:
        history = opens()
        history.add(an_end(1))
        await written(history)
    finally:
        os.umask(before)
    files = sorted(path.parent.glob("history*"))
    assert 4 == len(files)
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in files}


# Filters and pages


FILTERS = [
    EVERY_JOB,
    Wanted(name="timer"),
    Wanted(name="t*r"),
    Wanted(name="*"),
    Wanted(name="nothing"),
    Wanted(name="[t]imer"),
    Wanted(identifier_prefix="user-7"),
    Wanted(identifier_prefix="user-"),
    Wanted(identifier_prefix="user-77-1077"),
    Wanted(identifier_prefix="USER"),
    Wanted(outcome=Outcome.ERROR),
    Wanted(outcome=Outcome.OOM),
    Wanted(state=State.GONE),
    Wanted(state=State.RUNNING),
    Wanted(since=1500.0),
    Wanted(ended_since=2500.0),
    Wanted(ended_since=2500.0, failed=True),
    Wanted(failed=True, name="timer"),
    Wanted(failed=True, outcome=Outcome.SUCCESS),
    Wanted(name="timer", outcome=Outcome.ERROR, identifier_prefix="user-1", since=1200.0),
    Wanted(name="*i*", outcome=Outcome.SUCCESS),
]


@pytest.mark.parametrize("few", [2, 2000], ids=["many of a prefix", "few of a prefix"])
async def test_pages_are_of_what_fits_newest_first(
    opens: Opens, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(queries, "_FEW", few)
    history, ends = opens(), [an_end(number) for number in range(1100)]
    for job in ends[:-50]:
        history.add(job)
    await written(history)
    for job in ends[-50:]:
        history.add(job)
    for wanted in FILTERS:
        expected = [job.launch_id for job in reversed(ends) if wanted.fits(job)]
        assert expected == await all_pages(history, wanted, 97)


async def all_pages(history: History, wanted: Wanted, most: int) -> list[str]:
    found, before = list[str](), None
    while page := await history.page(wanted, before=before, most=most):
        assert len(page) <= most
        found += [entry.job.launch_id for entry in page]
        before = page[-1].position
    return found


async def test_pages_stay_right_while_jobs_come_and_go(opens: Opens) -> None:
    history = opens(history_most=300)
    for number in range(300):
        history.add(an_end(number))
    first = await history.page(EVERY_JOB, before=None, most=100)
    for number in range(300, 400):  # as many of the oldest go, and a few more
        history.add(an_end(number))
    await written(history)
    await eventually(lambda: history._writer and history._writer._file.count <= 300)  # type: ignore[union-attr]
    left = history._writer._file.count  # type: ignore[union-attr]
    second = await history.page(EVERY_JOB, before=first[-1].position, most=100)
    third = await history.page(EVERY_JOB, before=second[-1].position, most=100)
    found = [entry.job.launch_id for entry in [*first, *second, *third]]
    assert names(range(299, 399 - left, -1)) == found


async def test_a_clock_that_was_set_back_changes_no_order(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = opens()
    history.add(an_end(1))
    await written(history)
    await history.close(within=5)
    monkeypatch.setattr("time.time_ns", lambda: 1_000_000_000)
    again = opens()
    again.add(an_end(2))
    await written(again)
    again.add(an_end(3))
    assert names([3, 2, 1]) == await listed(again)


# What goes


async def test_the_oldest_go_when_there_are_too_many(
    opens: Opens, path: Path, value: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "_PAGES", 8)
    history = opens(history_most=2500)
    for number in range(2500):
        history.add(an_end(number))
    await written(history)
    for number in range(2500, 2600):
        history.add(an_end(number))
    await written(history)
    await eventually(lambda: len(in_file(path)) <= 2500)
    kept = in_file(path)
    assert names(range(2599, 2599 - len(kept), -1)) == kept
    assert 2375 <= len(kept) < 2500  # a twentieth goes at once
    await eventually(lambda: value("jobs", place="file") == len(kept))
    await history.close(within=5)
    size = path.stat().st_size
    fewer = opens(history_most=10)
    await eventually(lambda: in_file(path) == names(range(2599, 2589, -1)))
    await eventually(lambda: free_pages(path) <= 8)
    await fewer.close(within=5)
    assert path.stat().st_size < size / 4  # the disk has got its room back


async def test_the_old_go(
    opens: Opens, path: Path, monkeypatch: pytest.MonkeyPatch, metrics: Metrics
) -> None:
    monkeypatch.setattr(writer, "_LOOK", 0.05)
    memory = History(metrics, Settings(history_days=1))
    file = opens(history_days=1)
    real = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: real() - 25 * 3600 * 10**9)
    for history in (memory, file):
        history.add(an_end(1))
    await written(file)
    monkeypatch.setattr("time.time_ns", real)
    for history in (memory, file):
        history.add(an_end(2))
    await written(file)
    await eventually(lambda: in_file(path) == ["launch-2"])
    assert ["launch-2"] == await listed(memory)


async def test_without_a_file_the_newest_are_in_memory(
    metrics: Metrics, value: Callable[..., float]
) -> None:
    history = History(metrics, Settings(history_most=50))
    history.start()
    for number in range(60):
        history.add(an_end(number))
    assert names(range(59, 9, -1)) == await listed(history)
    assert (50, 0, 0) == (value("jobs", place="memory"), value("bytes"), value("dropped_total"))
    assert await history.find(identifier="user-59-59")
    assert await history.find(identifier="user-5-5") is None
    assert "" == history.fault
    await history.close(within=5)
