"""Disks that are full or cannot be written, with real ones: root may write everywhere else."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import mounts
from tests.unit.history.conftest import Opens
from tests.unit.history.ends import an_end, eventually, in_file, listed, names, written

_KIB = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounts.a_disk(tmp_path / "disk", kib=_KIB) as point:
        yield point


@pytest.mark.parametrize("room", [0, 16, 40, 100], ids=lambda kib: f"{kib} KiB are left")
async def test_a_full_disk_is_waited_for_from_the_start(
    opens: Opens, disk: Path, room: int, value: Callable[..., float]
) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * (_KIB - room) * 1024)
    history = opens(history_file=disk / "history.sqlite")
    for number in range(300):
        history.add(an_end(number, last_lines="x" * 1000))
    await eventually(lambda: history.fault)
    assert "full" == history.fault
    assert 1 == value("fault", reason="full")
    assert names(range(299, -1, -1)) == await listed(history)
    ballast.unlink()
    await written(history)
    await eventually(lambda: not history.fault)
    assert names(range(299, -1, -1)) == in_file(disk / "history.sqlite")


async def test_a_disk_that_fills_up_leaves_what_was_written(opens: Opens, disk: Path) -> None:
    path, ballast = disk / "history.sqlite", disk / "ballast"
    history = opens(history_file=path)
    history.add(an_end(0))
    await written(history)
    number = 0
    with ballast.open("wb", buffering=0) as file:
        while not history.fault:
            number += 1
            history.add(an_end(number, last_lines="x" * 2000))
            if number % 50 == 0:
                _fill(file.fileno())
            await asyncio.sleep(0.001)
    assert "full" == history.fault
    assert names(range(number, -1, -1)) == await listed(history)  # from the file, and from memory
    ballast.unlink()
    await eventually(lambda: not history.fault)
    assert names(range(number, -1, -1)) == in_file(path)
    assert not list(disk.glob("*.broken-*"))


def _fill(descriptor: int) -> None:
    try:
        while True:
            os.write(descriptor, b"x" * 65536)
    except OSError:
        return


async def test_a_disk_that_becomes_read_only_is_waited_for(opens: Opens, disk: Path) -> None:
    path = disk / "history.sqlite"
    history = opens(history_file=path)
    history.add(an_end(1))
    await written(history)
    await history.close(within=5)
    mounts.remount(disk, read_only=True)
    history = opens(history_file=path)
    history.add(an_end(2))
    await eventually(lambda: history.fault)
    assert "read_only" == history.fault
    assert "launch-2" in await listed(history)
    mounts.remount(disk, read_only=False)
    await written(history)
    await eventually(lambda: not history.fault)
    assert names([2, 1]) == await listed(history) == in_file(path)


async def test_a_file_on_a_disk_that_goes_away_is_begun_where_it_was(
    opens: Opens, tmp_path: Path
) -> None:
    """As when a volume is mounted late, or anew."""
    path = tmp_path / "late" / "history.sqlite"
    path.parent.mkdir()
    history = opens(history_file=path)
    history.add(an_end(1))
    await written(history)
    path.parent.rename(tmp_path / "before")
    with mounts.a_disk(tmp_path / "late", kib=_KIB):
        history.add(an_end(2))
        await written(history)
        assert ["launch-2"] == await listed(history) == in_file(path)
        await history.close(within=5)
