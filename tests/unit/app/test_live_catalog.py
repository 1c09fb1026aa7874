"""The file of the catalogue changes while the process runs."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.app.engines import ENGINES
from service.app.live_catalog import LiveCatalog
from service.app.metric_labels import new_metrics
from service.errors import StartError
from service.jobs.catalog import Catalog
from service.settings import Settings
from service.support import text_file
from service.support.file_watcher import FileWatcher
from tests.support.files import put

ONE = '[jobs]\none = { kind = "action", image = "x" }\n'
TWO = ONE + 'two = { kind = "action", image = "x" }\n'


def remove(path: Path) -> None:
    path.unlink()


class Followed:
    """A catalogue that is followed, and what has become of it."""

    def __init__(
        self, path: Path | None, watcher: FileWatcher, logs: list[MutableMapping[str, Any]]
    ) -> None:
        settings = Settings.model_validate({"job_catalog": path})
        self.live = LiveCatalog(settings, ENGINES["docker"].check, watcher)
        metrics = new_metrics(self.live.catalog, version="test", engine="docker", mode="test")
        self.registry, self.logs, self.watcher = metrics.registry, logs, watcher
        self.used: list[set[str]] = []
        self.live.connect(metrics, lambda: self.used.append({*self.live.catalog}))
        watcher.start()

    def events(self, name: str) -> list[MutableMapping[str, Any]]:
        return [each for each in self.logs if each["event"] == name]

    def reload(self, what: str = "") -> float:
        """A metric: whether the last reading was a success, or the time of the last that was."""
        found = self.registry.get_sample_value(f"supervisor_catalog_reload_success{what}")
        assert found is not None
        return found

    async def refused(self, count: int = 1) -> str:
        await eventually(lambda: len(self.events("catalog.refused")) == count)
        assert 0 == self.reload()
        return str(self.events("catalog.refused")[-1]["reason"])


async def eventually(check: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.toml"
    put(path, ONE)
    return path


Follow = Callable[..., Followed]


@pytest.fixture
async def follow() -> AsyncIterator[Follow]:
    """Follows a catalogue; `interval` is how often its file is looked at (seconds)."""
    before, watchers = signal.getsignal(signal.SIGHUP), list[FileWatcher]()
    with capture_logs() as logs:

        def start(path: Path | None, interval: float = 0.02) -> Followed:
            watchers.append(FileWatcher(interval))
            return Followed(path, watchers[-1], logs)

        yield start
    for watcher in watchers:
        watcher.close()
    signal.signal(signal.SIGHUP, before)


async def test_a_changed_file_is_used(follow: Follow, path: Path) -> None:
    followed, began = follow(path), time.time()
    assert (1, []) == (followed.reload(), followed.events("catalog.read"))
    started = followed.reload("_timestamp_seconds")
    assert abs(began - started) < 60
    put(path, TWO.replace('"x"', '"y"', 1))
    await eventually(lambda: followed.used)
    assert [{"one", "two"}] == followed.used
    (told,) = followed.events("catalog.read")
    assert ("info", 2, ["two"], ["one"]) == (
        told["log_level"],
        told["jobs"],
        told["added"],
        told["changed"],
    )
    assert [] == told["removed"]
    assert followed.reload("_timestamp_seconds") > started


BROKEN = {
    "half of it": TWO[:-30],
    "empty": "",
    "a slip": TWO + "three = { kind = 'action', imgae = 'x' }\n",
    "a value": TWO + "three = { kind = 'action', memory = 1 }\n",
    "not of this engine": TWO + "three = { kind = 'action', placement = ['node.role==worker'] }\n",
    "too large": TWO + "# " + "x" * 10 * 2**20,
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_file_with_a_fault_is_refused_as_a_whole(
    follow: Follow, path: Path, fault: str
) -> None:
    followed = follow(path)
    before, started = Catalog(followed.live.catalog), followed.reload("_timestamp_seconds")
    put(path, BROKEN[fault])
    reason = await followed.refused()
    assert reason
    assert "\n" not in reason
    assert (before, started) == (followed.live.catalog, followed.reload("_timestamp_seconds"))
    assert "error" == followed.events("catalog.refused")[0]["log_level"]
    put(path, TWO)
    await eventually(lambda: 1 == followed.reload())
    assert [{"one", "two"}] == followed.used
    assert 1 == len(followed.events("catalog.refused"))


async def test_a_file_that_goes_away_is_told_and_one_that_comes_back_is_read(
    follow: Follow, path: Path
) -> None:
    followed = follow(path)
    remove(path)
    assert "No such file" in await followed.refused()
    put(path, ONE)
    await eventually(lambda: followed.used)
    assert (1, ["one"]) == (followed.reload(), [*followed.live.catalog])


async def test_a_pipe_in_its_place_holds_nothing_up(
    follow: Follow, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_file, "_PIPE_TIMEOUT", 0.1)
    followed = follow(path)
    remove(path)
    os.mkfifo(path)
    assert "no program has written into this named pipe" in await followed.refused()
    remove(path)
    put(path, TWO)
    await eventually(lambda: 2 == len(followed.live.catalog))


async def test_a_swapped_link_is_a_change(follow: Follow, tmp_path: Path) -> None:
    """As Kubernetes does it: the file is a link through a link to a folder."""
    for name, text in (("..1", ONE), ("..2", TWO)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jobs.toml").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    path = tmp_path / "jobs.toml"
    path.symlink_to("..data/jobs.toml")
    followed = follow(path)
    (tmp_path / "new").symlink_to("..2")
    (tmp_path / "new").replace(tmp_path / "..data")
    await eventually(lambda: 2 == len(followed.live.catalog))


async def test_of_many_changes_in_a_row_the_last_one_counts(follow: Follow, path: Path) -> None:
    followed = follow(path)
    for number in range(50):
        path.write_text(ONE.replace("one", f"job-{number}"))  # noqa: ASYNC240 - a few bytes
        await asyncio.sleep(0.005)
    await eventually(lambda: ["job-49"] == [*followed.live.catalog])
    assert [] == followed.events("files.crashed")


async def test_a_signal_has_it_read_at_once_changed_or_not(follow: Follow, path: Path) -> None:
    followed = follow(path, interval=3600)
    for text, jobs in ((TWO, 2), (TWO, 2), ("[jobs]", 0)):
        put(path, text)
        count = len(followed.used)
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda count=count: len(followed.used) > count)  # type: ignore[misc]
        assert jobs == len(followed.live.catalog)


async def test_a_signal_before_the_files_are_watched_is_not_lost(
    follow: Follow, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(FileWatcher, "start", lambda _: None)
        followed = follow(path, interval=3600)
    put(path, TWO)
    os.kill(os.getpid(), signal.SIGHUP)
    followed.watcher.start()
    await eventually(lambda: 2 == len(followed.live.catalog))


async def test_jobs_without_room_are_told_at_each_reading(follow: Follow, path: Path) -> None:
    followed = follow(path)
    put(path, ONE.replace('"x"', '"x", pids = 1'))
    await eventually(lambda: followed.events("catalog.too_few_pids"))
    assert "one" == followed.events("catalog.too_few_pids")[0]["job"]


async def test_the_packaged_catalogue_is_not_followed(follow: Follow) -> None:
    before, threads = signal.getsignal(signal.SIGHUP), set(threading.enumerate())
    assert 68 == len(follow(None).live.catalog)
    assert before == signal.getsignal(signal.SIGHUP)
    assert threads >= set(threading.enumerate())


def test_a_start_with_a_fault_is_refused(path: Path) -> None:
    put(path, "[jobs]\nx = { kind = 'action', placement = ['node.role==worker'] }")
    settings = Settings.model_validate({"job_catalog": path})
    with pytest.raises(StartError, match="placement"):
        LiveCatalog(settings, ENGINES["docker"].check, FileWatcher())
