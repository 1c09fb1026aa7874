"""The history: jobs that have ended, newest first. It is not the source of what runs."""

import asyncio
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice

from observability.logs import get_logger
from observability.metrics import Metrics
from service.access.clients import ALL_JOBS, JobScope
from service.history import queries
from service.history.kept import MOST_IN_MEMORY, Entry, Kept, Position, oldest_place
from service.history.rows import record_of
from service.history.writer import Writer
from service.jobs.model import Job
from service.jobs.wanted import Wanted
from service.settings import Settings

log = get_logger(__name__)

NEWEST: Position = 2**62
_HELPS = "set HISTORY_FILE to a path on a volume: without it, a restart loses the history"


class History:
    """The jobs that have ended: in the file, and in memory those that are not written yet.

    Without a file, or while it cannot be used, the newest are in memory.
    """

    def __init__(self, metrics: Metrics, settings: Settings) -> None:
        self._metrics, self._settings = metrics, settings
        self._most = min(MOST_IN_MEMORY, settings.history_most)
        self._kept = kept = Kept(self._most)
        path = settings.history_file
        self._writer = Writer(path, kept, metrics, settings) if path else None
        self._reads = ThreadPoolExecutor(1, thread_name_prefix="history-reads")
        metrics.history_jobs.labels("memory").set_function(kept.__len__)

    @property
    def fault(self) -> str:
        """Why the file cannot be used; empty if it can, or if there is none."""
        return self._writer.fault or "" if self._writer else ""

    def start(self) -> None:
        """Open the file, beside the event loop."""
        if self._writer:
            self._writer.start()
        else:
            log.info("history.in_memory", most=self._most, helps=_HELPS)

    def add(self, job: Job) -> None:
        """Keep a job that has ended. Never blocks."""
        for_long = not self._writer or self._writer.fault  # else for less than a second
        dropped = self._kept.add(record_of(job) if for_long else job)
        if self._writer:
            self._writer.notice()
            if dropped:
                self._metrics.history_dropped.inc(dropped)
        else:
            self._kept.remove_until(oldest_place(self._settings.history_days))

    async def find(
        self, *, launch_id: str = "", identifier: str = "", scope: JobScope = ALL_JOBS
    ) -> Job | None:
        """One launch, or the newest of an identifier."""
        kept = self._kept.newest_first()
        search = partial(self._find, kept, launch_id, identifier, scope)
        return await asyncio.get_running_loop().run_in_executor(self._reads, search)

    async def page(
        self,
        wanted: Wanted,
        *,
        before: Position | None,
        most: int,
        scope: JobScope = ALL_JOBS,
    ) -> Sequence[Entry]:
        """The newest jobs that are wanted, before a place. What ends later has a later place."""
        kept = self._kept.newest_first()
        search = partial(self._page, kept, wanted, scope, before or NEWEST, most)
        return await asyncio.get_running_loop().run_in_executor(self._reads, search)

    async def close(self, *, within: float) -> None:
        """Write what is left, for so many seconds at most. Nothing is kept afterwards."""
        if self._writer:
            ended = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._writer.close(lambda: loop.call_soon_threadsafe(ended.set))
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), within)
            if lost := len(self._kept):
                self._metrics.history_dropped.inc(lost)
                log.warning("history.lost", jobs=lost)
        self._reads.shutdown(wait=False, cancel_futures=True)

    def _find(
        self, kept: Collection[Entry], launch_id: str, identifier: str, scope: JobScope
    ) -> Job | None:
        def fits(job: Job) -> bool:
            same = job.launch_id == launch_id if launch_id else job.identifier == identifier
            return same and scope.allows(job.name)

        if found := next((each.job for each in kept if fits(each.job)), None):
            return found
        if not self._writer:
            return None
        question = partial(queries.find, launch_id=launch_id, identifier=identifier, scope=scope)
        entry = self._writer.ask(question, None)
        return entry.job if entry else None

    def _page(
        self,
        kept: Collection[Entry],
        wanted: Wanted,
        scope: JobScope,
        before: Position,
        most: int,
    ) -> Sequence[Entry]:
        fitting = (
            each
            for each in kept
            if each.position < before and wanted.fits(each.job) and scope.allows(each.job.name)
        )
        found = list(islice(fitting, most))
        if self._writer:
            ids = {each.job.launch_id for each in kept}
            question = partial(
                queries.page, wanted=wanted, scope=scope, before=before, leave_out=ids, most=most
            )
            found += self._writer.ask(question, [])
        return sorted(found, key=lambda each: each.position, reverse=True)[:most]
