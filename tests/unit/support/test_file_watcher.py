import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.support import file_watcher
from service.support.file_watcher import FileWatcher
from tests.support.files import put
from tests.support.supervised import eventually

Watch = Callable[..., list[str]]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Watches files; the list gets what the first of them holds at each change."""
    with ExitStack() as stack:

        def start(*files: Path, within: float = 0.01) -> list[str]:
            watcher, seen = FileWatcher(within), list[str]()
            watcher.watch(files, lambda: seen.append(_text(files[0])))
            stack.callback(watcher.close)
            watcher.start()
            return seen

        yield start


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else "gone"


def test_a_change_is_told_each_time(watch: Watch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    seen = watch(file)
    for text in ("two", "six", "one"):
        put(file, text)
        eventually(lambda text=text: seen[-1:] == [text])  # type: ignore[misc]
    assert ["two", "six", "one"] == seen


def test_what_is_not_taken_is_told_again_until_it_is(tmp_path: Path) -> None:
    file, taken = tmp_path / "file", [False, False, True, True]
    calls = iter(taken)
    watched = file_watcher._Watched((file,), lambda: next(calls))
    file.write_text("new")
    for _ in range(9):
        watched.look()
    assert [True] == list(calls)


def test_a_change_is_told_though_times_and_size_are_the_same(watch: Watch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    os.utime(file, ns=(0, 0))
    seen = watch(file)
    with file.open("r+") as same:
        same.write("two")
    os.utime(file, ns=(0, 0))
    eventually(lambda: seen == ["two"])


def test_a_link_that_is_swapped_is_a_change(watch: Watch, tmp_path: Path) -> None:
    """As Kubernetes updates a mounted Secret: each file is a link through the link `..data`."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "tls.crt").write_text(version)
    data, file = tmp_path / "..data", tmp_path / "tls.crt"
    data.symlink_to("one")
    file.symlink_to("..data/tls.crt")
    seen = watch(file)
    (tmp_path / "..data_tmp").symlink_to("two")
    (tmp_path / "..data_tmp").replace(data)
    eventually(lambda: seen == ["two"])


def test_a_file_that_comes_or_goes_is_a_change(watch: Watch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    seen = watch(file)
    put(file, "one")
    eventually(lambda: seen == ["one"])
    file.unlink()
    eventually(lambda: seen == ["one", "gone"])


def test_a_change_of_any_of_several_files_is_told_once(watch: Watch, tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        file.write_text("old")
    seen = watch(*files)
    put(files[1], "new")
    eventually(lambda: seen == ["old"])


def test_what_is_written_again_as_it_was_is_no_change(watch: Watch, tmp_path: Path) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_text("same")
    seen, others = watch(file), watch(other)
    put(file, "same")
    put(other, "new")
    eventually(lambda: others == ["new"])
    assert [] == seen


def test_a_change_is_told_only_when_two_looks_agree(tmp_path: Path) -> None:
    file, seen = tmp_path / "file", list[str]()
    watched = file_watcher._Watched((file,), lambda: seen.append(file.read_text()))
    for text in ("a", "ab", "abc"):  # is being written
        file.write_text(text)
        watched.look()
    assert [] == seen
    watched.look()
    watched.look()
    assert ["abc"] == seen


def test_a_failure_is_told_and_ends_nothing(tmp_path: Path) -> None:
    file, called = tmp_path / "file", threading.Event()

    def fail() -> None:
        called.set()
        raise RuntimeError("broken")

    watched = file_watcher._Watched((file,), fail)
    file.write_text("new")
    with capture_logs() as logged:
        for _ in range(3):
            watched.look()
    assert called.is_set()
    assert [("files.crashed", [str(file)])] == [(e["event"], e["files"]) for e in logged]


def test_a_named_pipe_holds_nothing_up(watch: Watch, tmp_path: Path) -> None:
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(pipe)
    seen = watch(file, pipe)
    put(file, "new")
    eventually(lambda: seen == ["new"])


def test_without_files_there_is_no_thread() -> None:
    before = set(threading.enumerate())
    FileWatcher().start()
    assert before == set(threading.enumerate())


def test_who_asks_is_told_at_once_whether_or_not_it_has_changed(tmp_path: Path) -> None:
    file, other, seen = tmp_path / "file", tmp_path / "other", list[str]()
    watcher = FileWatcher(3600)
    ask = watcher.watch([file], lambda: seen.append(_text(file)))
    watcher.watch([other], lambda: seen.append("other"))
    watcher.start()
    for text in ("one", "one", "two"):
        file.write_text(text)
        count = len(seen)
        ask()
        eventually(lambda count=count: len(seen) > count)  # type: ignore[misc]
    watcher.close()
    assert ["one", "one", "two"] == seen


def test_what_was_read_because_somebody_asked_is_no_change_any_more(tmp_path: Path) -> None:
    file, seen = tmp_path / "file", list[str]()
    watched = file_watcher._Watched((file,), lambda: seen.append(file.read_text()))
    file.write_text("one")
    watched.report()
    for _ in range(3):
        watched.look()
    assert ["one"] == seen


def test_after_the_end_nobody_is_told(tmp_path: Path) -> None:
    file, seen = tmp_path / "file", list[str]()
    watcher = FileWatcher(3600)
    ask = watcher.watch([file], lambda: seen.append("read"))
    watcher.start()
    watcher.close()
    ask()
    eventually(lambda: not watcher._thread.is_alive())
    assert [] == seen
