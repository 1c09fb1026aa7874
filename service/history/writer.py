"""Writes ended jobs to the file, in a thread beside the event loop, and keeps trying."""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from observability.logs import get_logger
from observability.metrics import Metrics
from observability.secret_signs import unless_secret
from service.history.faults import HELP, Fault, fault_of
from service.history.file import HistoryFile
from service.history.kept import Entry, Kept, oldest_place
from service.history.set_aside import set_aside
from service.settings import Settings

log = get_logger(__name__)

T = TypeVar("T")

# How long jobs are gathered (seconds): a transaction for each would cost more than the rows do.
_GATHERING = 0.8
_AT_ONCE = 500
# Between two tries while there is a fault, and between two looks for rows that are too old.
_FIRST_TRY, _LAST_TRY, _LOOK = 1.0, 10.0, 600.0
# How long a question waits for the file to be opened at the start.
_OPENING = 5.0
# These faults leave the file as it was, so it stays open.
_PASSING = frozenset({Fault.FULL, Fault.LOCKED})
# One job that SQLite cannot take must not keep the others out.
_OF_A_ROW = (
    ValueError,
    OverflowError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


class Writer:
    """The thread, and the file that it has open. `fault` says why it has none, or cannot write."""

    def __init__(self, path: Path, kept: Kept, metrics: Metrics, settings: Settings) -> None:
        self._path, self._kept, self._metrics, self._settings = path, kept, metrics, settings
        self._shown = unless_secret(str(path))
        self.fault: Fault | None = None
        self._file: HistoryFile | None = None
        self._doubt: Exception | None = None
        self._failed_at, self._wait, self._next_look = 0.0, _FIRST_TRY, 0.0
        self._wake, self._closing, self._tried = (threading.Event() for _ in range(3))
        self._on_end: Callable[[], object] = bool  # does nothing
        self._thread = threading.Thread(target=self._serve, name="history", daemon=True)

    def start(self) -> None:
        self._wake.set()
        self._thread.start()

    def notice(self) -> None:
        """Have the thread write the jobs that wait."""
        if not self._wake.is_set():
            self._wake.set()

    def close(self, on_end: Callable[[], object]) -> None:
        """Have it write what is left and close the file; then it calls back."""
        self._on_end = on_end
        self._closing.set()
        self._wake.set()
        if not self._thread.is_alive():  # it was never started, or is closed already
            on_end()

    def ask(self, question: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """The file's answer to a question; `otherwise` if it cannot be read. Not on the loop."""
        self._tried.wait(_OPENING)
        file = self._file
        if file is None:
            return otherwise
        try:
            return file.read(question)
        except (OSError, sqlite3.Error) as error:
            if self._file is file and fault_of(error, self._path) not in _PASSING:
                self._doubt = error
                self._wake.set()
            return otherwise

    def _serve(self) -> None:
        wait, closing = 0.0, False
        while not closing:
            self._wake.wait(wait)
            if self._tried.is_set():
                self._closing.wait(_GATHERING)
            self._wake.clear()
            closing = self._closing.is_set()  # read before the last jobs are, so none is missed
            wait = self._turn()
            self._tried.set()
        self._close_file()
        self._on_end()

    def _turn(self) -> float:
        """Write and prune. Return after how many seconds to do so again, if nothing happens."""
        try:
            file = self._opened()
            while entries := self._kept.oldest(_AT_ONCE):
                self._write(file, entries)
            more = self._prune(file)
        except Exception as error:  # noqa: BLE001 - whatever it is, no job may suffer from it
            self._fail(error)
            self._wait = min(2 * self._wait, _LAST_TRY)
            return self._wait / 2
        self._recover(file)
        return 0.0 if more else _LOOK

    def _opened(self) -> HistoryFile:
        """The file, opened anew if it is not there any more, or if a question has failed."""
        if doubt := self._doubt:
            self._doubt = None
            raise doubt
        if self._file and not self._file.in_place:
            log.warning("history.file_replaced", path=self._shown)
            self._close_file()
        if self._file is None:
            self._file = file = HistoryFile(self._path)
            self._kept.continue_after(file.last)
            log.info("history.opened", path=self._shown, jobs=file.count)
        return self._file

    def _write(self, file: HistoryFile, entries: Sequence[Entry]) -> None:
        try:
            file.write(entries)
        except _OF_A_ROW as error:
            if len(entries) > 1:
                for entry in entries:
                    self._write(file, [entry])
                return
            self._metrics.history_dropped.inc()
            log.error(  # noqa: TRY400 - the text of the error says it all
                "history.job_refused", launch_id=entries[0].job.launch_id, error=str(error)
            )
        self._kept.remove(entries)

    def _prune(self, file: HistoryFile) -> bool:
        """Remove rows that are too many, and at times those that are too old; whether more wait."""
        due = time.monotonic() >= self._next_look
        before = oldest_place(self._settings.history_days) if due else 0
        more = file.prune(most=self._settings.history_most, before=before)
        if due and not more:
            self._next_look = time.monotonic() + _LOOK
        return more

    def _fail(self, error: Exception) -> None:
        fault = fault_of(error, self._path)
        if fault not in _PASSING:
            self._close_file()
        try:
            if fault is Fault.BROKEN and set_aside(self._path, error):
                self._wake.set()  # a new one can begin at once
        except OSError as also:
            error = also
        if fault is self.fault:
            return
        self._note(fault)
        if self._failed_at == 0:
            self._failed_at = time.monotonic()
        log.warning(
            "history.failed",
            path=self._shown,
            reason=fault.value,
            error=unless_secret(str(error)),  # it may have the path
            helps=HELP[fault],
        )

    def _recover(self, file: HistoryFile) -> None:
        self._metrics.history_jobs.labels("file").set(file.count)
        self._metrics.history_bytes.set(file.size)
        self._wait = _FIRST_TRY
        if self.fault is None:
            return
        self._note(None)
        seconds, self._failed_at = time.monotonic() - self._failed_at, 0.0
        log.info("history.recovered", path=self._shown, seconds=round(seconds, 1))

    def _note(self, fault: Fault | None) -> None:
        self.fault = fault
        for each in Fault:
            self._metrics.history_fault.labels(each.value).set(each is fault)

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file:
            file.close()
