"""Notices when files change, also through links that are swapped, until the change is accepted."""

import hashlib
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from queue import Empty, SimpleQueue

from observability.logs import get_logger

log = get_logger(__name__)

# How often to look (seconds).
_INTERVAL = 1.0

_Look = tuple[bytes | None, ...]


class FileWatcher:
    """Looks at files in a thread of its own, and calls back after a change.

    It compares contents: times and numbers of inodes may be the same after a change, and differ
    without one. It calls back when two looks find the same: a change of several files takes a
    while, and a file that is being written is not complete. So a change is reported after one to
    two seconds, and one that never settles is not.
    """

    def __init__(self, interval: float = _INTERVAL) -> None:
        self._interval = interval
        self._watched: list[_Watched] = []
        self._closed = threading.Event()
        # Signal handlers put into it. They may interrupt any code, so they may take no lock.
        self._asked: SimpleQueue[_Watched | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="files", daemon=True)

    def watch(self, files: Iterable[Path], on_change: Callable[[], object]) -> Callable[[], None]:
        """Call back after a change of any of these files, in the thread of the watcher.

        What the files hold now counts as known. So call this before they are read for the first
        time, and before `start`. If `on_change` returns False, it is called again at the next look:
        a certificate that is not valid yet will be.

        Returns a function that has `on_change` called at once, changed or not. A signal handler may
        call it.
        """
        watched = _Watched(tuple(files), on_change)
        self._watched.append(watched)
        return lambda: self._asked.put(watched)

    def start(self) -> None:
        """Begin to look. Without files, this starts no thread."""
        if self._watched:
            self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._asked.put(None)

    def _run(self) -> None:
        while True:
            asked = self._wait()
            if self._closed.is_set():
                return
            for each in asked:
                each.report()
            for each in () if asked else self._watched:
                each.look()

    def _wait(self) -> Collection["_Watched"]:
        """Wait for the next look, or until somebody asks for one: those that are asked for."""
        try:
            asked = {self._asked.get(timeout=self._interval)}
        except Empty:
            return ()
        while not self._asked.empty():
            asked.add(self._asked.get())
        return {each for each in asked if each}


class _Watched:
    """Some files, and what to call after a change of any of them."""

    def __init__(self, files: tuple[Path, ...], on_change: Callable[[], object]) -> None:
        self._files, self._on_change = files, on_change
        self._known = self._last = self._read()
        self._again = False

    def look(self) -> None:
        """Report a change, once two looks have found it."""
        now, before = self._read(), self._last
        self._last = now
        if now == before and (now != self._known or self._again):
            self.report()

    def report(self) -> None:
        """Report what the files hold now."""
        self._known = self._last = self._read()
        self._again = False
        try:
            self._again = self._on_change() is False
        except Exception:
            log.exception("files.crashed", files=[str(each) for each in self._files])

    def _read(self) -> _Look:
        return tuple(map(_digest, self._files))


def _digest(file: Path) -> bytes | None:
    """What the file holds, as a hash: it may be a private key. None if it cannot be read."""
    try:
        if not file.is_file():  # a named pipe would block
            return None
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").digest()
    except OSError:
        return None
