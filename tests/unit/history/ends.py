"""Jobs that have ended, and how a test sees what is kept of them."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from service.history.history import History
from service.jobs.model import Job, Outcome, State
from service.jobs.wanted import EVERY_JOB, Wanted
from tests.support.samples import NAMES, a_job


def an_end(number: int, **changes: Any) -> Job:
    """A job that has ended: one of a hundred users', with one of two names."""
    facts: dict[str, Any] = {
        "name": NAMES[number % 2],
        "identifier": f"user-{number % 100}-{number}",
        "state": State.GONE,
        "exit_seen": True,
        "outcome": Outcome.ERROR if number % 10 == 0 else Outcome.SUCCESS,
        "created_at": 1000.0 + number,
        "ended_at": 2000.0 + number,
    }
    return a_job(f"launch-{number}", **(facts | changes))


async def eventually(check: Callable[[], object], *, within: float = 10.0) -> None:
    """Wait until a check is true."""
    deadline = time.monotonic() + within
    while not check():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.005)


async def written(history: History) -> None:
    """Wait until nothing is in memory only."""
    await eventually(lambda: not len(history._kept))


async def listed(history: History, wanted: Wanted = EVERY_JOB, most: int = 1000) -> Sequence[str]:
    """The launch ids of a page."""
    page = await history.page(wanted, before=None, most=most)
    return [entry.job.launch_id for entry in page]


def in_file(path: Path) -> Sequence[str]:
    """The launch ids in a file, newest first, as another program reads them."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT launch_id FROM ended ORDER BY position DESC").fetchall()
    return [launch_id for (launch_id,) in rows]


def free_pages(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        pages: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return pages


def names(numbers: Sequence[int] | range) -> Sequence[str]:
    return [f"launch-{number}" for number in numbers]
