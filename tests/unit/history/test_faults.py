import sqlite3
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.history import history as history_module
from service.history.faults import HELP, Fault
from tests.support.misplaced_secrets import TOKEN
from tests.unit.history.conftest import Opens
from tests.unit.history.ends import an_end, eventually, in_file, listed, names, written

Logs = list[MutableMapping[str, Any]]


@pytest.fixture
def logs() -> Iterator[Logs]:
    with capture_logs() as captured:
        yield captured


def of(logs: Logs, event: str) -> Logs:
    return [each for each in logs if each["event"] == f"history.{event}"]


def test_every_fault_has_advice() -> None:
    assert set(Fault) == set(HELP)


async def test_without_its_folder_jobs_are_in_memory_until_it_is_there(
    opens: Opens, tmp_path: Path, logs: Logs, value: Callable[..., float]
) -> None:
    path = tmp_path / "later" / "history.sqlite"
    history = opens(history_file=path)
    history.add(an_end(1))
    await eventually(lambda: history.fault)
    assert "no_folder" == history.fault
    assert 1 == value("fault", reason="no_folder")
    assert ["launch-1"] == await listed(history)
    path.parent.mkdir()
    await written(history)
    await eventually(lambda: not value("fault", reason="no_folder"))
    assert ["launch-1"] == await listed(history) == in_file(path)
    [failed], [recovered] = of(logs, "failed"), of(logs, "recovered")
    assert (str(path), "no_folder", "warning") == (
        failed["path"],
        failed["reason"],
        failed["log_level"],
    )
    assert recovered["seconds"] < 10


async def test_what_cannot_be_written_is_bounded_and_counted(
    opens: Opens, tmp_path: Path, value: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "MOST_IN_MEMORY", 100)
    history = opens(history_file=tmp_path / "nowhere" / "history.sqlite")
    for number in range(130):
        history.add(an_end(number))
    assert names(range(129, 29, -1)) == await listed(history)
    assert (30, 100) == (value("dropped_total"), value("jobs", place="memory"))
    with capture_logs() as logs:
        await history.close(within=5)
    assert [100] == [each["jobs"] for each in of(logs, "lost")]
    assert 130 == value("dropped_total")


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"garbage " * 1000,
        lambda good: good[: len(good) // 2],
        lambda good: good[:50],
        lambda good: good[:8192] + b"\xff" * 4096 + good[12288:],
        lambda good: good[:-8192] + b"\xff" * 4096 + good[-4096:],
        lambda good: b"\0" * len(good),
    ],
    ids=[
        "garbage",
        "half of it",
        "its first bytes",
        "a page of nonsense",
        "a late page of nonsense",
        "zeros",
    ],
)
async def test_a_broken_file_is_set_aside_and_a_new_one_begun(
    opens: Opens, path: Path, logs: Logs, damage: Callable[[bytes], bytes]
) -> None:
    first = opens()
    for number in range(300):
        first.add(an_end(number))
    await written(first)
    await first.close(within=5)
    broken = damage(path.read_bytes())
    path.write_bytes(broken)
    again = opens()
    await eventually(lambda: list(path.parent.glob("*.broken-*")))  # before any of it is needed
    again.add(an_end(1000))
    await written(again)
    assert ["launch-1000"] == in_file(path) == await listed(again)
    [aside] = path.parent.glob("*.broken-*")
    assert broken == aside.read_bytes()
    [told] = of(logs, "set_aside")
    assert (aside.name, "warning") == (told["kept_as"], told["log_level"])
    await eventually(lambda: not again.fault)


async def test_a_path_that_may_be_a_secret_is_not_logged(
    opens: Opens, tmp_path: Path, logs: Logs
) -> None:
    opens(history_file=tmp_path / TOKEN / "history.sqlite")
    await eventually(lambda: of(logs, "failed"))
    assert TOKEN not in repr(logs)


async def test_a_file_that_breaks_while_it_is_used_is_set_aside(opens: Opens, path: Path) -> None:
    history = opens()
    for number in range(3000):
        history.add(an_end(number, last_lines="x" * 1000))
    await written(history)
    await history.close(within=5)
    history = opens()
    assert 1000 == len(await listed(history))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 3_000_000)
    await listed(history, most=3000)  # SQLite has the newest in memory, and reads the others
    await eventually(lambda: list(path.parent.glob("*.broken-*")))
    history.add(an_end(5000))
    await written(history)
    await eventually(lambda: in_file(path) == ["launch-5000"])


async def test_a_disk_that_breaks_each_file_is_not_filled_with_them(
    opens: Opens, path: Path
) -> None:
    for number in range(5):
        path.with_name(f"{path.name}.broken-{number}").touch()
    path.write_bytes(b"garbage " * 1000)
    history = opens()
    await eventually(lambda: history.fault)
    assert "broken" == history.fault
    assert 5 == len(list(path.parent.glob("*.broken-*")))
    path.with_name(f"{path.name}.broken-3").unlink()
    await eventually(lambda: not history.fault)


@pytest.mark.parametrize("sides", [["", "-wal", "-shm"], [""], ["-wal"], ["-shm"]], ids=str)
async def test_a_file_that_was_deleted_is_begun_anew(
    opens: Opens, path: Path, logs: Logs, sides: list[str]
) -> None:
    history = opens()
    history.add(an_end(1))
    await written(history)
    assert ["launch-1"] == await listed(history)
    for side in sides:
        path.with_name(path.name + side).unlink()
    history.add(an_end(2))
    await written(history)
    kept = ["launch-2"] if "" in sides else ["launch-2", "launch-1"]  # the file still has it
    assert kept == await listed(history) == in_file(path)
    assert of(logs, "file_replaced")
    await history.close(within=5)
    assert kept == in_file(path)


async def test_a_file_that_was_replaced_is_used(opens: Opens, path: Path, tmp_path: Path) -> None:
    other = opens(history_file=tmp_path / "other.sqlite")
    other.add(an_end(7))
    await written(other)
    await other.close(within=5)
    history = opens()
    history.add(an_end(1))
    await written(history)
    (tmp_path / "other.sqlite").rename(path)
    history.add(an_end(2))
    await written(history)
    assert ["launch-2", "launch-7"] == await listed(history) == in_file(path)


async def test_a_second_supervisor_is_refused_the_file_until_the_first_has_ended(
    opens: Opens, path: Path, logs: Logs
) -> None:
    first = opens()
    first.add(an_end(1))
    await written(first)
    second = opens()
    second.add(an_end(2))
    await eventually(lambda: second.fault)
    assert "locked" == second.fault
    assert ["launch-2"] == await listed(second)
    assert "another supervisor has it open" == of(logs, "failed")[0]["error"]
    await first.close(within=5)
    await written(second)
    assert ["launch-2", "launch-1"] == await listed(second) == in_file(path)


async def test_another_program_that_writes_is_waited_for(
    opens: Opens, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.history.opening.BUSY", 0.05)
    history = opens()
    history.add(an_end(1))
    await written(history)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        history.add(an_end(2))
        await eventually(lambda: history.fault)
        assert "locked" == history.fault
        assert ["launch-2", "launch-1"] == await listed(history)  # reads go on
    await written(history)
    assert ["launch-2", "launch-1"] == in_file(path)
    await eventually(lambda: not history.fault)


async def test_another_program_that_reads_for_long_lets_the_log_grow_for_so_long_only(
    opens: Opens, path: Path, value: Callable[..., float]
) -> None:
    history = opens()
    history.add(an_end(0))
    await written(history)
    log = path.with_name(path.name + "-wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM ended").fetchone()
        for number in range(2000):
            history.add(an_end(number, last_lines="x" * 10_000))
        await written(history)
        assert log.stat().st_size > 15_000_000
    history.add(an_end(5000))
    await written(history)
    history.add(an_end(5001))
    await written(history)
    assert log.stat().st_size < 5_000_000
    await eventually(lambda: value("bytes") > 20_000_000)


async def test_a_path_that_is_no_file_is_refused(opens: Opens, path: Path) -> None:
    path.mkdir()
    history = opens()
    await eventually(lambda: history.fault)
    assert "foreign" == history.fault
    path.rmdir()
    await eventually(lambda: not history.fault)


async def test_the_places_in_memory_go_on_after_those_of_the_file(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 10**9)
    history = opens(history_days=36_500)
    for number in range(3):
        history.add(an_end(number))
    await written(history)
    assert names([2, 1, 0]) == await listed(history)
