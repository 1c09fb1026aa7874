"""The access file changes while calls are under way."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from structlog.testing import capture_logs

from service.access.access import Access
from service.access.access_file import clients_in
from service.access.clients import Client, Reason
from service.access.reading import open_access
from service.app.metric_labels import new_metrics
from service.settings import Settings
from service.support.file_watcher import FileWatcher
from tests.access.served import FILE, Served, bearer, refusal
from tests.support.files import put

_REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
WITHOUT_PROMETHEUS = FILE.partition("[clients.prometheus]")[0]
PROMETHEUS_AS_BACKEND = FILE.replace('role = "observer"', 'role = "backend"')


def _stream(door: Served, who: str) -> Any:
    return door.channel.stream_stream(_REFLECTION)(metadata=bearer(who), timeout=60)


async def _answered(stream: Any) -> Any:
    await stream.write(b"")
    assert await stream.read()
    return stream


@pytest.mark.parametrize(
    ("after", "status"),
    [
        (WITHOUT_PROMETHEUS, "UNAUTHENTICATED"),
        (PROMETHEUS_AS_BACKEND, "PERMISSION_DENIED"),
        (FILE.replace("[clients.prometheus]", "[clients.other]"), None),
    ],
)
async def test_an_open_stream_ends_with_the_right_to_it(
    door: Served, after: str, status: str | None
) -> None:
    stream = await _answered(_stream(door, "prometheus"))
    others = await _answered(_stream(door, "night-shift"))
    door.access.replace(clients_in(after))
    if status:
        assert status == (await asyncio.wait_for(stream.code(), 5)).name
        assert {"unknown" if status == "UNAUTHENTICATED" else "denied": 1} == door.failures()
    else:
        await _answered(stream)
    await _answered(others)
    others.cancel()


async def test_a_stream_that_its_client_leaves_is_forgotten(door: Served) -> None:
    for _ in range(3):
        (await _answered(_stream(door, "prometheus"))).cancel()
    ended = await _answered(_stream(door, "prometheus"))
    await ended.done_writing()
    assert "OK" == (await ended.code()).name
    (check,) = door.access._subscribers
    streams = check.__self__  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        while streams._decide:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    door.access.replace(clients_in(WITHOUT_PROMETHEUS))
    assert {} == door.failures()


async def test_of_a_thousand_calls_none_is_lost_while_the_clients_change(door: Served) -> None:
    rotated = FILE.replace("[clients.prometheus]", "[clients.prometheus-2]")

    async def change() -> None:
        while True:
            for text in (rotated, FILE):
                door.access.replace(clients_in(text))
                await asyncio.sleep(0.005)

    changing = asyncio.create_task(change())
    calls = (
        door.stub.ListJobs(Empty(), metadata=bearer("prometheus"), timeout=60) for _ in range(1000)
    )
    await asyncio.gather(*calls)
    changing.cancel()
    assert {} == door.failures()


async def test_a_removed_client_is_refused_at_its_next_call(door: Served) -> None:
    await door.listed("prometheus")
    door.access.replace(clients_in(WITHOUT_PROMETHEUS))
    assert "UNAUTHENTICATED" == (await refusal(door.listed("prometheus")))[0]
    await door.listed("night-shift")


# The file


@pytest.fixture
async def watcher() -> AsyncIterator[FileWatcher]:
    made = FileWatcher(interval=0.02)
    yield made
    made.close()


class _Followed:
    """An access file, and what follows it."""

    def __init__(self, path: Path, watcher: FileWatcher) -> None:
        settings = Settings.model_validate({"access_file": path, "bind_address": "127.0.0.1"})
        metrics = new_metrics(["timer"], version="test", engine="none", mode="test")
        access = open_access(settings, ["timer", "nothing-1"], metrics, watcher)
        assert access is not None
        self.access: Access = access
        self._registry = metrics.registry
        watcher.start()

    def finds(self, who: str) -> object:
        found = self.access.decide("/metrics", [f"Bearer of-{who}".encode()])
        return found.name if isinstance(found, Client) else found.reason

    def reload(self, what: str = "") -> float:
        """Whether the file was in order, or with `_timestamp_seconds` when it was so."""
        return self._registry.get_sample_value(f"supervisor_access_reload_success{what}") or 0.0

    async def eventually(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not check():  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)


async def test_a_changed_file_is_read_and_a_broken_one_refused_as_a_whole(
    tmp_path: Path, watcher: FileWatcher
) -> None:
    path = tmp_path / "access.toml"
    path.write_text(FILE)
    with capture_logs() as logs:
        followed = _Followed(path, watcher)
        assert "prometheus" == followed.finds("prometheus")
        assert 1 == followed.reload()
        began = followed.reload("_timestamp_seconds")
        assert abs(began - time.time()) < 60
        broken = WITHOUT_PROMETHEUS + '[clients.more]\nrole = "king"\n'
        for text in (broken, "", WITHOUT_PROMETHEUS[:-30]):
            before = len(logs)
            put(path, text)
            await followed.eventually(lambda: len(logs) > before)  # noqa: B023 - called here
            assert "access.refused" == logs[-1]["event"]
            assert str(path) in logs[-1]["reason"]
            assert (0, began) == (followed.reload(), followed.reload("_timestamp_seconds"))
            assert "prometheus" == followed.finds("prometheus")
        path.unlink()
        await followed.eventually(lambda: "No such file" in str(logs[-1]))
        put(path, WITHOUT_PROMETHEUS)
        await followed.eventually(lambda: followed.finds("prometheus") is Reason.UNKNOWN)
        await followed.eventually(lambda: 3 == logs[-1].get("clients"))
        assert 1 == followed.reload()
        assert followed.reload("_timestamp_seconds") > began


async def test_a_swapped_link_is_a_change(tmp_path: Path, watcher: FileWatcher) -> None:
    """As Kubernetes does it: the file is a link through a link to a folder."""
    for name, text in (("..1", FILE), ("..2", WITHOUT_PROMETHEUS)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "access.toml").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    path = tmp_path / "access.toml"
    path.symlink_to("..data/access.toml")
    followed = _Followed(path, watcher)
    (tmp_path / "new").symlink_to("..2")
    os.replace(tmp_path / "new", tmp_path / "..data")  # noqa: PTH105 - as it is called
    await followed.eventually(lambda: followed.finds("prometheus") is Reason.UNKNOWN)


async def test_a_pattern_that_no_job_matches_is_told(tmp_path: Path, watcher: FileWatcher) -> None:
    path = tmp_path / "access.toml"
    path.write_text(FILE.replace("nothing-", "none-"))
    with capture_logs() as logs:
        _Followed(path, watcher)
    (told,) = [each for each in logs if each["event"] == "access.no_such_job"]
    assert ("warning", "timers", "none-*") == (
        told["log_level"],
        told["client"],
        told["pattern"],
    )


@pytest.mark.parametrize(("role", "told"), [("backend", 1), ("operator", 1), ("observer", 0)])
async def test_an_access_file_that_lets_strangers_launch_is_told(
    tmp_path: Path, watcher: FileWatcher, role: str, told: int
) -> None:
    path = tmp_path / "access.toml"
    path.write_text(f'{WITHOUT_PROMETHEUS}\n[anonymous]\nrole = "{role}"\njobs = ["timer"]\n')
    with capture_logs() as logs:
        _Followed(path, watcher)
    warnings = [each for each in logs if each["event"] == "access.open"]
    assert [("warning", role, "timer")] * told == [
        (each["log_level"], each["role"], each["jobs"]) for each in warnings
    ]
